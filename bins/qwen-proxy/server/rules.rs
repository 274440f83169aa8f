//! Which models may be asked, and what of a body two readers could read in two ways.

use super::members::Members;
use super::naming::fold;
use super::refusal::Refusal;

/// Rules about models.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    /// Those that may be asked; empty for all.
    pub(super) allowed: Vec<String>,
    /// The one that is asked whatever was asked.
    pub(super) replacement: Option<String>,
}

impl Rules {
    pub(super) const fn is_none(&self) -> bool {
        self.allowed.is_empty() && self.replacement.is_none()
    }

    /// True for a model that may be asked.
    pub(super) fn allows(&self, model: &str) -> bool {
        self.allowed.is_empty() || self.allowed.iter().any(|allowed| allowed == model)
    }

    /// True for a model that may be asked besides the one that is judged.
    pub(super) fn lets(&self, model: &str) -> bool {
        match self.allowed.is_empty() {
            true => self.replacement.as_deref().is_none_or(|own| own == model),
            false => self.allows(model),
        }
    }

    /// Judges the model that a request names.
    ///
    /// # Errors
    /// 403 for one that may not be asked, and for none where not all may.
    pub(super) fn check(&self, model: Option<&str>) -> Result<(), Refusal> {
        match model {
            _ if self.allowed.is_empty() => Ok(()),
            Some(model) if self.allows(model) => Ok(()),
            Some(_) => Err(self.refusal("this model may not be asked")),
            None => Err(self.refusal("the request names no model")),
        }
    }

    /// The refusal of a model. It names those that may be asked.
    pub(super) fn refusal(&self, what: &str) -> Refusal {
        let allowed = self.allowed.join(", ");
        Refusal::forbidden(
            "model_not_allowed",
            format!("{what} through this qwen-proxy; allowed: {allowed}"),
        )
    }
}

/// False for the type of a body that some servers would not read as JSON in UTF-8, nor as a form in parts.
pub(super) fn is_clear_type(content_type: &str) -> bool {
    let content_type = content_type.to_ascii_lowercase();
    let mut parts = content_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let charsets = parts.filter_map(|part| part.strip_prefix("charset"));
    let mut charsets = charsets.map(|rest| rest.trim_start_matches([' ', '=', '"', '\'']));
    (essence == "multipart/form-data" || !essence.contains("form"))
        && charsets.all(|charset| {
            let charset = charset.trim_end_matches(['"', '\'', ' ']);
            ["utf-8", "utf8", "us-ascii", "ascii"].contains(&charset)
        })
}

pub(super) fn unreadable(what: &str) -> Refusal {
    Refusal::bad_request(
        "unreadable_body",
        format!("the body cannot be judged by the rules of this qwen-proxy: {what}"),
    )
}

/// The members that rules and budgets go by.
const JUDGED: [&str; 17] = [
    "model",
    "stream",
    "stream_options",
    "background",
    "n",
    "best_of",
    "prompt",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "max_new_tokens",
    "max_tokens_to_sample",
    "n_predict",
    "models",
    "fallbacks",
    "tools",
    "extra_body",
];

/// Refuses a member that is there twice or in another spelling: servers written in Go read names without regard to case, and
/// which of two counts is anybody's choice (RFC 8259, section 4).
pub(super) fn check_names(members: &Members) -> Result<(), Refusal> {
    let mut seen: Vec<&str> = Vec::new();
    for member in members.iter() {
        let folded = fold(&member.name);
        let Some(judged) = JUDGED.into_iter().find(|name| *name == folded) else {
            continue;
        };
        if member.name != judged {
            return Err(unreadable(&format!("'{judged}' in another spelling")));
        }
        if seen.contains(&judged) {
            return Err(unreadable(&format!("'{judged}' twice")));
        }
        seen.push(judged);
    }
    Ok(())
}

/// Refuses a switch that some servers read as on and others as off, such as `"stream": 1`.
pub(super) fn check_flags(body: &[u8], members: &Members) -> Result<(), Refusal> {
    for name in ["stream", "background"] {
        let value = members.text(body, name).unwrap_or(b"null");
        if !["true", "false", "null"].map(str::as_bytes).contains(&value) {
            return Err(unreadable(&format!("'{name}' is neither true nor false")));
        }
    }
    Ok(())
}
