//! What clients send to an address besides the key that goes with it.

use super::policy::key_name;

/// Vendor, variable and who sends it, one to a line, with tabs; lines that begin with `#` are comments.
const TABLE: &str = include_str!("carriers.tsv");

/// Returns the variables whose values clients send to the address in this variable, besides the key of
/// [`super::key_name`]; none for a name that is no address's.
#[must_use]
pub fn carriers(url_name: &str) -> Vec<String> {
    let Some(key) = key_name(url_name) else {
        return Vec::new();
    };
    let vendor = key.strip_suffix("_API_KEY").unwrap_or(&key);
    let rows = TABLE.lines().filter(|line| !line.starts_with('#'));
    rows.filter_map(|row| {
        let mut fields = row.split('\t');
        let (of, variable) = (fields.next()?, fields.next()?);
        match of {
            "*" => Some(format!("{vendor}{variable}")),
            of => (of == vendor).then(|| variable.to_owned()),
        }
    })
    .collect()
}
