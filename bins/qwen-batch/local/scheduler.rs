//! When a question may be sent, and whether a fault is the question's or the server's.
//!
//! A fault that passes (no connection, a 5xx) is the question's as long as others get through. Of many questions in a row
//! it is the server's: an outage. Then one question after another is tried, at growing pauses, until one is answered.
//! A question that was under way at the beginning of two outages may be what brings the server down: it is sent alone,
//! and is given up once it has failed alone twice, each time right after others were answered. Where no others are left
//! that could be, a short request of our own takes their part: the health check.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use self::models::Models;
use super::throttle::Throttle;

mod models;

/// The pauses of an outage double from the first to the longest.
const FIRST_PROBE: Duration = Duration::from_secs(1);
const LONGEST_PROBE: Duration = Duration::from_secs(60);
/// The pause before a question's second try; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// A pause that is longer than this is announced.
const ANNOUNCED: Duration = Duration::from_secs(2);
/// As many different questions with a passing fault in a row mean that it is the server's: the parallel ones, within this.
const FEWEST_IN_A_ROW: usize = 3;
const MOST_IN_A_ROW: usize = 8;
/// A question that was under way at so many beginnings of an outage is sent alone.
const SUSPICIOUS: u32 = 2;
/// A question that failed alone so often, while others were answered, is given up.
const STRIKES: u32 = 2;
/// A question whose every try was spoiled in company gets so many times as many.
const TRIES_IN_COMPANY: u32 = 3;
/// A question that was refused with a 429 so often, while others were answered, is given up.
const LIMIT_OF_REFUSALS: u32 = 20;

/// Identifies a question.
pub(super) type QuestionId = u64;

/// Whether a question may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Send,
    /// It is to ask again at that time, or when something has changed.
    Wait(Option<Instant>),
    /// Those that wait behind it go first.
    Yield,
    /// A health check goes first. It counts as the question under way.
    Check,
    /// It is left to another run.
    Leave,
}

/// What follows from a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Send the question again after a pause.
    Again(Duration),
    /// The fault is the question's result.
    GiveUp,
    /// The fault is the end of the run.
    End,
    /// The fault is the end of its model: the run ends with it once the others are done.
    Lose,
    /// The question is left to another run.
    Leave,
}

/// What is to be said once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    OutageBegan,
    /// With the sum of its pauses.
    OutageEnded(Duration),
    /// Others are answered, and this model is not.
    ModelOutageBegan {
        model: String,
    },
    ModelOutageEnded {
        model: String,
        waited: Duration,
    },
    /// Nothing is sent for that long, because of a 429 that does, or does not, name the time.
    Pause {
        time: Duration,
        is_named: bool,
        is_first: bool,
    },
}

/// What went wrong, as far as it tells whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The request has not reached the server: it cannot be the question's fault.
    Unsent,
    /// Something answers in the API's place, and the API has never answered: the request has not reached it either.
    Elsewhere,
    /// A gateway says that the server is not there (502 to 504).
    Unavailable,
    /// The connection broke before an answer.
    Broken,
    /// The connection broke within an answer: the server was there.
    Cut,
    /// The server has failed at the request.
    Failed,
}

/// A fault that may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) cause: Cause,
    /// True for what is not to be tried again unless it is the server's fault: a time-out.
    pub(super) is_final: bool,
    /// The pause that the server asks for.
    pub(super) wait: Option<Duration>,
}

impl Fault {
    fn is_unsent(self) -> bool {
        matches!(self.cause, Cause::Unsent | Cause::Elsewhere)
    }

    /// True for what a server that goes down does to all requests under way.
    fn is_crash(self) -> bool {
        matches!(self.cause, Cause::Unavailable | Cause::Broken | Cause::Cut)
    }
}

/// What a question has been through.
#[derive(Clone, Copy, Debug, Default)]
struct History {
    tries: u32,
    /// The outages and the answers at its last fault.
    outages: u32,
    answers_at_fault: u64,
    /// True once it has failed again after others were answered: its fault says nothing about the server.
    is_its_own: bool,
    /// How many refusals with a 429 it has had, while others were answered.
    refusals: u32,
    answers_at_refusal: u64,
    /// At how many beginnings of an outage it was under way.
    onsets: u32,
    /// True once it reached the server in an outage, and failed.
    has_failed_as_probe: bool,
    strikes: u32,
    /// True where its last fault came within an answer: the server was there.
    was_cut: bool,
    /// True once its tries are used up, each in company: it is given up if it fails alone.
    has_last_try: bool,
}

#[derive(Debug)]
struct Outage {
    /// The question that is tried now.
    probe: Option<QuestionId>,
    next: Instant,
    pause: Duration,
    /// The sum of all pauses. Not a time by the clock: a machine that sleeps has not waited.
    waited: Duration,
    /// True once there was no connection, until there is one.
    is_away: bool,
}

#[derive(Debug)]
struct UnderWay {
    model: String,
    epoch: u64,
    /// How many faults there had been.
    faults: u64,
    /// How many outages had ended.
    recoveries: u32,
}

#[derive(Debug)]
pub(super) struct Scheduler {
    jobs: usize,
    retries: u32,
    patience: Duration,
    /// How many requests may be under way: `jobs`, and after an outage one, and one more for each answer.
    window: usize,
    under_way: HashMap<QuestionId, UnderWay>,
    /// The question that is under way alone, and whether the server was proven to be there right before.
    alone: Option<(QuestionId, bool)>,
    /// The question in whose place a health check is under way.
    checking: Option<QuestionId>,
    /// False once a health check has told nothing.
    can_check: bool,
    /// The question with the last fault since an answer.
    last_fault: Option<QuestionId>,
    /// True while there was an answer, to a question sent since the last fault.
    is_proven: bool,
    /// How many faults there have been.
    faults: u64,
    /// Those that have let others go first since a request was sent.
    yielded: BTreeSet<QuestionId>,
    throttles: BTreeMap<String, Throttle>,
    models: Models,
    /// Questions that had a fault; an answer removes them.
    histories: HashMap<QuestionId, History>,
    /// The questions with a passing fault since the last answer; true for those that reached the server.
    in_a_row: BTreeMap<QuestionId, bool>,
    outage: Option<Outage>,
    /// How many outages there have been.
    outages: u32,
    /// How many outages have ended. What becomes of a request that was sent before says nothing about the server now.
    recoveries: u32,
    /// How many questions the server has answered, or refused for good.
    answers: u64,
    /// True once a pause was announced.
    has_paused: bool,
    /// Questions under way at the beginning of the outage whose fault has not come yet.
    late: BTreeSet<QuestionId>,
    changes: Vec<Change>,
}

impl Scheduler {
    pub(super) fn new(jobs: usize, retries: u32, patience: Duration) -> Self {
        Self {
            jobs,
            retries,
            patience,
            window: jobs,
            under_way: HashMap::new(),
            alone: None,
            checking: None,
            can_check: true,
            last_fault: None,
            is_proven: false,
            faults: 0,
            yielded: BTreeSet::new(),
            throttles: BTreeMap::new(),
            models: Models::default(),
            histories: HashMap::new(),
            in_a_row: BTreeMap::new(),
            outage: None,
            outages: 0,
            recoveries: 0,
            answers: 0,
            has_paused: false,
            late: BTreeSet::new(),
            changes: Vec::new(),
        }
    }

    /// Returns how many requests are under way.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Returns what there is to say since the last call.
    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Asks whether a question may be sent. After [`Turn::Send`] it counts as under way.
    pub(super) fn turn(&mut self, question: QuestionId, model: &str, now: Instant) -> Turn {
        if let Some(turn) = self.models.turn(model, now) {
            return turn;
        }
        if self.outage.is_some() {
            return self.turn_in_outage(question, model, now);
        }
        if self.alone.is_some() || self.checking.is_some() || self.is_full() {
            return Turn::Wait(None);
        }
        let is_suspect = self.onsets(question) >= SUSPICIOUS;
        if is_suspect && !self.under_way.is_empty() {
            return Turn::Wait(None);
        }
        if is_suspect && !self.is_proven && self.yielded.insert(question) {
            return Turn::Yield;
        }
        if let Some(next) = self.throttle(model, now).turn(now) {
            return Turn::Wait(Some(next));
        }
        let was_cut = self
            .histories
            .get(&question)
            .is_some_and(|history| history.was_cut);
        let wants_check = is_suspect && !self.is_proven && !was_cut;
        let turn = self.start_or_check(question, model, wants_check, now);
        if is_suspect && turn == Turn::Send {
            self.alone = Some((question, self.is_proven));
        }
        turn
    }

    /// As [`Scheduler::turn`], while the server is away: one question at a time is tried.
    fn turn_in_outage(&mut self, question: QuestionId, model: &str, now: Instant) -> Turn {
        let Some(outage) = &mut self.outage else {
            return Turn::Wait(None);
        };
        if outage.probe.is_some() {
            return Turn::Wait(None);
        }
        if outage.next > now {
            return Turn::Wait(Some(outage.next));
        }
        // What may have brought the server down is not what tells whether it is back, unless there is nothing else.
        let is_suspect = self
            .histories
            .get(&question)
            .is_some_and(|history| history.onsets > 0 || history.has_failed_as_probe);
        if is_suspect && self.yielded.insert(question) {
            return Turn::Yield;
        }
        outage.probe = Some(question);
        self.start_or_check(question, model, is_suspect, now)
    }

    /// Lets a question be sent, or a health check in its place, where one is wanted and tells something.
    fn start_or_check(&mut self, question: QuestionId, model: &str, wants_check: bool, now: Instant) -> Turn {
        self.start(question, model, now);
        if !wants_check || !self.can_check {
            return Turn::Send;
        }
        self.checking = Some(question);
        Turn::Check
    }

    /// True while no further request has room. Requests from before an outage may hang for long; they keep only their own
    /// places.
    fn is_full(&self) -> bool {
        let recent = self
            .under_way
            .values()
            .filter(|sent| sent.recoveries == self.recoveries);
        self.under_way.len() >= self.jobs || self.window < self.jobs && recent.count() >= self.window
    }

    fn start(&mut self, question: QuestionId, model: &str, now: Instant) {
        self.yielded.clear();
        self.models.started(model, question);
        let epoch = self.throttle(model, now).epoch();
        let model = model.to_owned();
        let sent = UnderWay {
            model,
            epoch,
            faults: self.faults,
            recoveries: self.recoveries,
        };
        self.under_way.insert(question, sent);
    }

    fn throttle(&mut self, model: &str, now: Instant) -> &mut Throttle {
        if !self.throttles.contains_key(model) {
            self.throttles.insert(model.to_owned(), Throttle::new(now));
        }
        self.throttles
            .entry(model.to_owned())
            .or_insert_with(|| Throttle::new(now))
    }

    fn onsets(&self, question: QuestionId) -> u32 {
        self.histories.get(&question).map_or(0, |history| history.onsets)
    }

    /// Takes note that a question is under way no more; returns how it was sent, and where it was sent alone, whether the
    /// server had been there right before.
    fn stop(&mut self, question: QuestionId) -> (Option<UnderWay>, Option<bool>) {
        self.checking.take_if(|checking| *checking == question);
        let alone = self.alone.take_if(|alone| alone.0 == question);
        (self.under_way.remove(&question), alone.map(|alone| alone.1))
    }

    /// Takes note that the run ends before there is a result.
    pub(super) fn abandoned(&mut self, question: QuestionId) {
        if let (Some(sent), _) = self.stop(question) {
            self.models.abandoned(&sent.model, question);
        }
        if let Some(outage) = &mut self.outage {
            outage.probe.take_if(|probe| *probe == question);
        }
    }

    /// Takes note that a question has its result: an answer if it is still under way.
    pub(super) fn written(&mut self, question: QuestionId) {
        if self.under_way.contains_key(&question) {
            self.answered(question);
        }
        self.histories.remove(&question);
    }

    /// Takes note that the server has answered a question, or refused it for good.
    pub(super) fn answered(&mut self, question: QuestionId) {
        let (sent, _) = self.stop(question);
        self.histories.remove(&question);
        self.in_a_row.clear();
        // What was sent before the last fault may have been answered before it.
        if sent.as_ref().is_some_and(|sent| sent.faults == self.faults) {
            self.is_proven = true;
            self.last_fault = None;
        }
        self.answers += 1;
        if let Some(UnderWay { model, .. }) = sent {
            self.changes.extend(self.models.answered(&model, question));
            if let Some(throttle) = self.throttles.get_mut(&model) {
                throttle.answered();
            }
        }
        if !self.end_outage(question) && self.outage.is_none() {
            self.window = (self.window + 1).min(self.jobs);
        }
    }

    /// Takes note that a health check was answered.
    pub(super) fn check_answered(&mut self, question: QuestionId) {
        if let (Some(sent), _) = self.stop(question) {
            self.changes.extend(self.models.answered(&sent.model, question));
        }
        self.in_a_row.clear();
        self.is_proven = true;
        self.last_fault = None;
        self.answers += 1;
        self.end_outage(question);
    }

    /// Takes note that a health check tells nothing: the server refuses it for what it is.
    pub(super) fn check_is_unclear(&mut self, question: QuestionId) {
        self.can_check = false;
        self.abandoned(question);
    }

    /// Takes note that a health check met a fault that may pass: the server is not there.
    pub(super) fn check_failed(&mut self, question: QuestionId, fault: Fault, now: Instant) -> Next {
        if let (Some(sent), _) = self.stop(question) {
            self.models.abandoned(&sent.model, question);
        }
        self.is_proven = false;
        self.faults += 1;
        match self.outage.is_some() {
            true => self.failed_in_outage(question, fault, now),
            false => self.begin_outage(fault, now),
        }
    }

    /// Ends an outage by a response to its probe. A response to what was sent before it began may be older than it.
    fn end_outage(&mut self, question: QuestionId) -> bool {
        let ended = self.outage.take_if(|outage| outage.probe == Some(question));
        if let Some(outage) = &ended {
            self.window = 1;
            self.recoveries += 1;
            self.changes.push(Change::OutageEnded(outage.waited));
        }
        ended.is_some()
    }

    /// Takes note of a refusal for too many requests.
    pub(super) fn throttled(&mut self, question: QuestionId, wait: Option<Duration>, now: Instant) -> Next {
        let (sent, _) = self.stop(question);
        // A server that refuses is there.
        self.end_outage(question);
        self.in_a_row.clear();
        let Some(UnderWay { model, epoch, .. }) = sent else {
            return Next::Again(Duration::ZERO);
        };
        self.changes.extend(self.models.answered(&model, question));
        let (answers, patience) = (self.answers, self.patience);
        let throttle = self.throttle(&model, now);
        let pause = throttle.refused(epoch, wait, patience, now);
        let has_lost_patience = throttle.waited() > patience;
        if let Some(time) = pause.filter(|time| *time > ANNOUNCED) {
            self.changes.push(Change::Pause {
                time,
                is_named: wait.is_some_and(|wait| wait >= time),
                is_first: !std::mem::replace(&mut self.has_paused, true),
            });
        }
        let history = self.histories.entry(question).or_default();
        if answers > history.answers_at_refusal {
            history.refusals += 1;
            history.answers_at_refusal = answers;
        }
        match () {
            () if has_lost_patience => Next::End,
            () if history.refusals >= LIMIT_OF_REFUSALS => Next::GiveUp,
            () => Next::Again(Duration::ZERO),
        }
    }

    /// Takes note of a fault that may pass.
    pub(super) fn failed(&mut self, question: QuestionId, fault: Fault, now: Instant) -> Next {
        let Some(model) = self.under_way.get(&question).map(|sent| sent.model.clone()) else {
            return self.failed_by_itself(question, fault, now);
        };
        let limit = (now, self.patience);
        // In an outage of the server the model is not what fails.
        if self.outage.is_none()
            && let Some(next) = self.models.failed(&model, question, fault, self.answers, limit)
        {
            self.stop(question);
            return next;
        }
        let many = self.most_in_a_row();
        if self.outage.is_none() && self.hold_model(&model, fault, many, now) {
            self.stop(question);
            return Next::Again(Duration::ZERO);
        }
        let next = self.failed_by_itself(question, fault, now);
        let is_given_up = next == Next::GiveUp && !fault.is_final;
        if is_given_up && self.hold_model(&model, fault, FEWEST_IN_A_ROW, now) {
            return Next::Again(Duration::ZERO);
        }
        if self.outage.is_some() {
            self.models.abandoned(&model, question);
        }
        next
    }

    /// Begins to hold a model back that fails at so many questions in a row while others are answered; false where that is
    /// not so, or where the server itself went down.
    fn hold_model(&mut self, model: &str, fault: Fault, in_a_row: usize, now: Instant) -> bool {
        let limit = (now, self.patience);
        let is_of_model = matches!(fault.cause, Cause::Unavailable | Cause::Failed);
        if !is_of_model || !self.models.hold(model, fault, in_a_row, self.answers, limit) {
            return false;
        }
        self.in_a_row.clear();
        let model = model.to_owned();
        self.changes.push(Change::ModelOutageBegan { model });
        true
    }

    /// Returns how many different questions with a fault in a row are more than their own.
    fn most_in_a_row(&self) -> usize {
        self.jobs.clamp(FEWEST_IN_A_ROW, MOST_IN_A_ROW)
    }

    /// As [`Scheduler::failed`], for what is not known to be its model's.
    fn failed_by_itself(&mut self, question: QuestionId, fault: Fault, now: Instant) -> Next {
        let (sent, alone) = self.stop(question);
        let others_failed = sent.as_ref().is_some_and(|sent| sent.faults < self.faults);
        if sent.is_some_and(|sent| sent.recoveries < self.recoveries) {
            self.count_onset(question, fault);
            return Next::Again(Duration::ZERO);
        }
        self.is_proven = false;
        self.faults += 1;
        if self.outage.is_some() {
            return self.failed_in_outage(question, fault, now);
        }
        let was_there = alone.is_some_and(|was_there| was_there || fault.cause == Cause::Cut);
        if was_there && !fault.is_unsent() && self.strike(question) {
            return Next::GiveUp;
        }
        let has_company = others_failed
            || !self.under_way.is_empty()
            || self.last_fault.is_some_and(|other| other != question);
        self.last_fault = Some(question);
        let is_its_own = self.is_its_own(question);
        self.histories.entry(question).or_default().was_cut = fault.cause == Cause::Cut;
        if fault.is_unsent() || !is_its_own {
            let was_sent = self.in_a_row.entry(question).or_default();
            *was_sent |= !fault.is_unsent();
        }
        if self.in_a_row.len() >= self.most_in_a_row() {
            return self.begin_outage(fault, now);
        }
        if fault.is_final {
            return Next::GiveUp;
        }
        self.spend_try(question, fault, has_company, now)
    }

    /// Counts one of a question's own tries.
    fn spend_try(&mut self, question: QuestionId, fault: Fault, has_company: bool, now: Instant) -> Next {
        let (answers, limit, can_check) = (self.answers, self.tries(), self.can_check && self.retries > 0);
        let history = self.histories.entry(question).or_default();
        history.tries += 1;
        let tries = history.tries;
        // While nobody else is answered it may be the server.
        let is_unproven = answers == history.answers_at_fault && self.retries > 0;
        let is_lonely = is_unproven && history.onsets < SUSPICIOUS;
        let is_unavailable = is_unproven && fault.cause == Cause::Unavailable;
        // It was there before.
        let limit = match is_lonely && answers > 0 && !is_unavailable {
            true => 2 * limit,
            false => limit,
        };
        if tries < limit {
            let pause = FIRST_PAUSE
                .saturating_mul(1 << (tries - 1).min(10))
                .min(LONGEST_PAUSE);
            return Next::Again(pause.max(fault.wait.unwrap_or_default()));
        }
        if fault.is_unsent() || is_unavailable && history.strikes == 0 && !can_check {
            return self.begin_outage(fault, now);
        }
        let has_last_try =
            can_check || (has_company || history.has_last_try) && tries < TRIES_IN_COMPANY * limit;
        if fault.is_crash() && has_last_try {
            history.has_last_try = true;
            history.onsets = history.onsets.max(SUSPICIOUS);
            return Next::Again(FIRST_PAUSE);
        }
        Next::GiveUp
    }

    /// Begins to count a question's tries anew after an outage; true where others were answered since its last fault.
    fn is_its_own(&mut self, question: QuestionId) -> bool {
        let (outages, answers) = (self.outages, self.answers);
        let history = self.histories.entry(question).or_default();
        if history.outages != outages || history.tries == 0 {
            (history.tries, history.outages, history.is_its_own) = (0, outages, false);
            history.answers_at_fault = answers;
        }
        history.is_its_own |= history.tries > 0 && answers > history.answers_at_fault;
        history.is_its_own
    }

    const fn tries(&self) -> u32 {
        self.retries.saturating_add(1)
    }

    /// Counts a failure of a question alone, right after others were answered; true once it is to be given up.
    fn strike(&mut self, question: QuestionId) -> bool {
        let history = self.histories.entry(question).or_default();
        history.strikes += 1;
        history.has_last_try || history.strikes >= STRIKES
    }

    fn begin_outage(&mut self, fault: Fault, now: Instant) -> Next {
        self.outages += 1;
        for (question, was_sent) in std::mem::take(&mut self.in_a_row) {
            let history = self.histories.entry(question).or_default();
            history.onsets += u32::from(was_sent);
        }
        self.late = self.under_way.keys().copied().collect();
        let pause = FIRST_PROBE.max(fault.wait.unwrap_or_default()).min(self.patience);
        self.outage = Some(Outage {
            probe: None,
            next: now + pause,
            pause,
            waited: pause,
            is_away: fault.is_unsent(),
        });
        match pause.is_zero() {
            true => Next::End,
            false => {
                self.changes.push(Change::OutageBegan);
                Next::Again(Duration::ZERO)
            }
        }
    }

    /// Takes note of the fault of a question that was under way when an outage began.
    fn count_onset(&mut self, question: QuestionId, fault: Fault) {
        if self.late.remove(&question) && !fault.is_unsent() {
            self.histories.entry(question).or_default().onsets += 1;
        }
    }

    fn failed_in_outage(&mut self, question: QuestionId, fault: Fault, now: Instant) -> Next {
        self.count_onset(question, fault);
        let Some(outage) = &mut self.outage else {
            return Next::Again(Duration::ZERO);
        };
        if outage.probe.take_if(|probe| *probe == question).is_none() {
            return Next::Again(Duration::ZERO);
        }
        if !fault.is_unsent() {
            let history = self.histories.entry(question).or_default();
            history.has_failed_as_probe = true;
        }
        let has_come_back = !fault.is_unsent() && outage.is_away;
        outage.is_away = fault.is_unsent();
        let left = self.patience.saturating_sub(outage.waited);
        if left.is_zero() {
            return Next::End;
        }
        let longest = LONGEST_PROBE.max(fault.wait.unwrap_or_default());
        outage.pause = (2 * outage.pause)
            .max(fault.wait.unwrap_or_default())
            .min(longest)
            .min(left);
        outage.next = now + outage.pause;
        outage.waited += outage.pause;
        // The server came back and broke again at once, at a question under way when it broke before.
        if has_come_back && let Some(history) = self.histories.get_mut(&question) {
            history.strikes += u32::from(history.onsets > 0);
            if history.strikes >= STRIKES {
                return Next::GiveUp;
            }
        }
        Next::Again(Duration::ZERO)
    }
}

#[cfg(test)]
mod crashes;
#[cfg(test)]
mod tests;
