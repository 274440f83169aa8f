//! Names by which programs run code or move secrets are marked, and those of applications are not.

use qwen_shared::dotenv::marks::find;

#[test]
fn names_by_which_programs_run_code_or_move_secrets_are_marked() {
    for name in include_str!("data/env/names-that-act.txt").lines() {
        assert!(find(name).is_some(), "{name}");
    }
}

/// A `DATABASE_URL` carries its own password to its own server, and every second project has one: those who take
/// everything (`--all`) mean such names. The same goes for a key or an account that an application brings itself.
#[test]
fn names_of_applications_are_not_marked() {
    for name in include_str!("data/env/names-of-applications.txt").lines() {
        assert_eq!(find(name), None, "{name}");
    }
}

/// Those of programs that are set as often as not, and look like those that act.
#[test]
fn names_that_do_no_harm_are_not_marked() {
    for name in include_str!("data/env/names-that-do-no-harm.txt").lines() {
        assert_eq!(find(name), None, "{name}");
    }
}
