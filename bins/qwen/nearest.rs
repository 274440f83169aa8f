//! Names that a mistyped name may have meant.

use crate::list;

/// Returns the tools whose names are near `typed`, the nearest first, at most three.
///
/// A swap of neighbours counts as one mistake, because that is how fingers err. One mistake is allowed in a short
/// word, two from six letters on; beyond that a name would be a guess. What begins as a tool's name does is near too.
pub(crate) fn to(typed: &str) -> Vec<String> {
    let typed = typed.to_lowercase();
    let limit = if typed.chars().count() < 6 { 1 } else { 2 };
    let mut near: Vec<(usize, String)> = list::all()
        .into_iter()
        .filter_map(|found| {
            let distance = strsim::osa_distance(&typed, &found.name);
            let begins = typed.len() > 1 && found.name.starts_with(&typed);
            (distance <= limit || begins).then_some((distance, found.name))
        })
        .collect();
    near.sort();
    near.into_iter().map(|(_, name)| name).take(3).collect()
}
