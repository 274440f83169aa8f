//! Lists and quotes, and what they put before a line.

/// What text is inside of.
#[derive(Debug)]
pub(super) enum Container {
    Quote,
    /// The next number; `None` for bullets.
    List(Option<u64>),
    /// The marker, until it has been printed; then blanks of its width.
    Item {
        marker: String,
        used: bool,
    },
}

/// Returns the prefix of a block's further lines.
pub(super) fn rest(containers: &[Container]) -> String {
    let parts = containers.iter().map(|container| match container {
        Container::Quote => "│ ".to_owned(),
        Container::List(_) => String::new(),
        Container::Item { marker, .. } => " ".repeat(marker.chars().count()),
    });
    parts.collect()
}

/// Returns the prefix of the next line and of its further lines.
pub(super) fn prefixes(containers: &mut [Container]) -> (String, String) {
    let (mut first, rest) = (String::new(), rest(containers));
    for container in containers {
        match container {
            Container::Quote => first.push_str("│ "),
            Container::List(_) => {}
            Container::Item { marker, used } => {
                let blanks = " ".repeat(marker.chars().count());
                first.push_str(if std::mem::replace(used, true) {
                    &blanks
                } else {
                    marker
                });
            }
        }
    }
    (first, rest)
}
