//! Keys, addresses and models that hold more than they should: what came along where they were copied.

use std::borrow::Cow;

use qwen_shared::copied::{check_address, check_key, stray_character};
use qwen_shared::dotenv::key_name;
use qwen_shared::provider;

/// Returns what is wrong with the value of a variable that clients of models read; `None` for any other name.
pub(crate) fn fault(name: &str, value: &str) -> Option<Cow<'static, str>> {
    if value.trim().is_empty() {
        return None;
    }
    if name.ends_with("_API_KEY") || provider::is_key_variable(name) {
        return fault_of_key(value);
    }
    if key_name(name).is_some() {
        return check_address(value.trim()).err().map(Cow::from);
    }
    let stray = stray_character(value).filter(|_| name == "OPENAI_MODEL")?;
    let code = u32::from(stray);
    Some(format!("it holds U+{code:04X}, which comes along unseen; write it anew").into())
}

fn fault_of_key(value: &str) -> Option<Cow<'static, str>> {
    let key = value.trim_matches([' ', '\t']);
    if let Err(fault) = check_key(key) {
        return Some(fault.into());
    }
    if let Some(letter) = key.chars().find(|c| !c.is_ascii()) {
        let code = u32::from(letter);
        return Some(
            format!("the key holds U+{code:04X}, a letter that is not ASCII, which no header carries").into(),
        );
    }
    let fault = match key {
        _ if key.contains(|c: char| c.is_ascii_control()) => {
            "the key holds a line end or a control character, which no header carries"
        }
        _ if key.contains(' ') => "the key holds a blank, and a key is one word; see what was copied with it",
        _ if key.ends_with([',', ';']) => {
            "the key ends as a line of code does; give it without its last character"
        }
        _ if key.len() < value.len() => {
            "there are blanks around the key, which clients send along; take them away"
        }
        _ => return None,
    };
    Some(fault.into())
}

#[cfg(test)]
mod tests {
    use super::fault;

    #[test]
    fn a_key_with_more_than_a_key_in_it_is_told() {
        for (name, value, told) in [
            ("OPENAI_API_KEY", "Bearer sk-1", "no key begins with 'Bearer'"),
            ("X_API_KEY", "\"sk-1\"", "no key begins with a quote"),
            ("OPENAI_API_KEY", "sk-...abcd", "shown in part"),
            ("OPENAI_API_KEY", "sk-pr***", "shown in part"),
            ("OPENAI_API_KEY", "sk-1\nsk-2", "line end"),
            ("OPENAI_API_KEY", "sk-\u{e4}", "not ASCII"),
            ("OPENAI_API_KEY", "sk-1 sk-2", "holds a blank"),
            ("OPENAI_API_KEY", "sk-1,", "last character"),
            ("OPENAI_API_KEY", " sk-1", "blanks around"),
            ("DASHSCOPE_API_KEY", "sk-\u{200b}1", "U+200B"),
            ("OPENAI_MODEL", "gpt\u{2011}4o", "U+2011"),
            ("OPENAI_BASE_URL", "https://h.example/v1\u{200b}", "U+200B"),
            (
                "AZURE_OPENAI_ENDPOINT",
                "https://{resource}.openai.azure.com",
                "placeholder",
            ),
        ] {
            let found = fault(name, value).unwrap_or_default();
            assert!(found.contains(told), "{name} {value}: {found}");
            assert!(!found.contains("sk-1"), "{found}");
        }
        for (name, value) in [
            ("OPENAI_API_KEY", "sk-proj-a_b=="),
            ("OPENAI_API_KEY", " "),
            ("OPENAI_MODEL", "my model"),
            ("GREETING", "10\u{a0}000, “said”"),
            ("PUBLIC_KEY", "-----BEGIN PUBLIC KEY-----"),
        ] {
            assert_eq!(fault(name, value), None, "{name} {value}");
        }
    }
}
