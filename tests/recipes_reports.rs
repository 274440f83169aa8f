//! What users of other programs have run into, in the shells that people have: a case a file in tests/data/recipes/shell.

use crate::support::Sandbox;
use crate::support::recipe::{PRELUDE, endpoint, fault, header, recipe, shell, tools};

#[test]
fn what_others_have_stumbled_over_is_borne() {
    let directory = crate::support::tree::root().join("tests/data/recipes/shell");
    let mut faults = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let case = std::fs::read_to_string(&path).unwrap();
        assert!(header(&case, "seen").is_some_and(|address| address.starts_with("https://")));
        for program in ["/bin/sh", "/bin/bash"] {
            let (sandbox, server) = (Sandbox::new(), endpoint(&case, "answer"));
            if let Some(name) = header(&case, "recipe") {
                sandbox.write("home/recipe", recipe(name, 0));
            }
            let script = format!("{PRELUDE}{case}");
            let run = shell(&sandbox, &server.url("/v1"), program, &script)
                .env("tools", tools())
                .run();
            let fault = fault(&case, &server, &run);
            faults.extend(fault.map(|fault| format!("{program} {}: {fault}", path.display())));
        }
    }
    assert!(
        faults.is_empty(),
        "{} faults\n{}",
        faults.len(),
        faults.join("\n")
    );
}
