//! The provider's list of batches, in whatever pages it comes.

use crate::support::batch::batch;
use crate::support::batch_api::BatchApi;
use crate::support::{Reply, Run, Sandbox, Server};
use serde_json::{Value, json};

fn entry(number: u64) -> Value {
    json!({"id": format!("batch_{number}"), "status": "completed", "created_at": 1_795_478_400_u64})
}

fn page(numbers: impl IntoIterator<Item = u64>, members: &Value) -> Reply {
    let entries: Vec<Value> = numbers.into_iter().map(entry).collect();
    let mut page = json!({"object": "list", "data": entries});
    page.as_object_mut()
        .unwrap()
        .extend(members.as_object().unwrap().clone());
    Reply::json(200, &page.to_string())
}

fn list(replies: Vec<Reply>, args: &[&str]) -> (Run, usize) {
    let (sandbox, server) = (Sandbox::new(), Server::script(replies));
    let run = batch(&sandbox, &server).arg("list").args(args).run();
    (run, server.count())
}

fn ids(run: &Run) -> Vec<String> {
    let text = run.text();
    let rows = text.lines().map(|row| row.split('\t').next().unwrap().to_owned());
    rows.collect()
}

#[test]
fn other_forms_of_a_list_are_read() {
    let entries = [entry(2), entry(1)];
    for body in [
        json!(entries),
        json!({"batches": entries, "hasMore": false}),
        json!({"data": entries}),
        json!({"data": [entry(2), {"note": "no batch"}, entry(1)], "has_more": false}),
    ] {
        let (run, asked) = list(vec![Reply::json(200, &body.to_string())], &[]);
        assert_eq!(ids(&run.exits(0)), ["batch_2", "batch_1"], "{body}");
        assert_eq!(asked, 1, "{body}");
    }
    let body = json!({"data": [{"batch_id": "b1", "created_at": "2026-11-24 10:00:00"}], "has_more": false});
    let (run, _) = list(vec![Reply::json(200, &body.to_string())], &[]);
    run.gives(0, "b1\tunknown\t0/0\t2026-11-24 10:00:00\n", "");
}

#[test]
fn one_odd_page_is_not_the_end() {
    let last = page(3..5, &json!({"has_more": false}));
    for odd in [
        Reply::new(200, "text/html", "<html>"),
        Reply::json(200, ""),
        Reply::json(503, "{}"),
        Reply::json(200, "{}"),
    ] {
        let (run, asked) = list(
            vec![page(1..3, &json!({"has_more": true})), odd, last.clone()],
            &[],
        );
        let run = run.exits(0);
        assert_eq!(
            ids(&run),
            ["batch_1", "batch_2", "batch_3", "batch_4"],
            "{run:#?}"
        );
        assert_eq!(asked, 3);
    }
}

/// BerriAI/litellm#37150: pages that do not advance. #38738: an empty page that says that there is more.
#[test]
fn a_list_that_does_not_go_on_ends_and_says_so() {
    let more = json!({"has_more": true});
    for (replies, expected) in [
        (vec![page(1..4, &more), page(2..5, &more), page(3..5, &more)], 4),
        (vec![page(1..4, &more), page(0..0, &more)], 3),
        (vec![page(1..4, &more)], 3),
    ] {
        let (run, asked) = list(replies, &["--limit", "200"]);
        let run = run.exits(76);
        assert_eq!(ids(&run).len(), expected, "{run:#?}");
        assert!(run.stderr.contains("the list is not whole"), "{run:#?}");
        assert!(asked < 10, "{asked}");
    }
    // The provider says where it goes on.
    let (run, _) = list(
        vec![
            page(0..0, &json!({"has_more": true, "last_id": "batch_9"})),
            page(1..3, &json!({"has_more": false})),
        ],
        &[],
    );
    assert_eq!(ids(&run.exits(0)), ["batch_1", "batch_2"]);
}

#[test]
fn a_cancellation_whose_answer_is_lost_is_looked_for() {
    for reply in [
        Reply::json(200, ""),
        Reply::default().reset(),
        Reply::json(500, "{}"),
    ] {
        let api = BatchApi::new([json!({"status": "cancelling"})]);
        api.add_batch("batch_x");
        api.set(|state| {
            let kind = "POST /v1/batches/batch_x/cancel";
            state.instead = (0..4).map(|_| (kind, reply.clone())).collect();
        });
        let sandbox = Sandbox::new();
        let run = batch(&sandbox, &api.server)
            .args(["cancel", "batch_x"])
            .run()
            .exits(0);
        assert!(run.text().contains("status: cancelling\n"), "{run:#?}");
    }
}
