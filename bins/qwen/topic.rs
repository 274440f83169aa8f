//! Help on what is no tool: pages such as `qwen-env(5)` and `qwen-exit(7)`, by man(1) where they are installed, else as this
//! program carries them.

use std::process::{Command, Stdio};

use qwen_shared::exit::{Exit, Failure, Outcome, io_reason};
use qwen_shared::output::Stdout;
use qwen_shared::process;

use super::mdoc;

/// A page on what is no tool.
pub(crate) struct Topic {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    section: &'static str,
    page: &'static str,
}

pub(crate) const TOPICS: [Topic; 5] = [
    Topic {
        name: "env",
        about: "Which .env files are read, and what they mean",
        section: "5",
        page: include_str!("../../man/qwen-env.5"),
    },
    Topic {
        name: "config",
        about: "The members of config.json",
        section: "5",
        page: include_str!("../../man/qwen-config.5"),
    },
    Topic {
        name: "exit",
        about: "What the exit codes mean",
        section: "7",
        page: include_str!("../../man/qwen-exit.7"),
    },
    Topic {
        name: "faq",
        about: "Questions and answers",
        section: "7",
        page: include_str!("../../man/qwen-faq.7"),
    },
    Topic {
        name: "recipes",
        about: "Git, cron, make, editors, CI and containers",
        section: "7",
        page: include_str!("../../man/qwen-recipes.7"),
    },
];

impl Topic {
    /// Shows the page.
    ///
    /// # Errors
    /// Exit 126 when man(1) cannot be run, 74 when stdout does not take the text.
    pub(crate) fn show(&self) -> Outcome {
        let name = format!("qwen-{}", self.name);
        let man = process::find("man").filter(|man| {
            let mut find = Command::new(man);
            find.args(["-w", self.section, &name]);
            let find = find
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            find.status().is_ok_and(|status| status.success())
        });
        let Some(man) = man else {
            Stdout::write(mdoc::to_text(self.page).as_bytes())?;
            return Ok(Exit::Ok);
        };
        let error = process::exec(Command::new(&man).args([self.section, &name]));
        let message = format!("cannot run '{}': {}", man.display(), io_reason(&error));
        Err(Failure::new(Exit::NotRunnable, message))
    }
}
