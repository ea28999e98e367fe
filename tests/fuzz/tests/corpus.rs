//! Replays the corpus without a fuzzer: earlier findings stay fixed, and every target runs.

use std::{fs, path::Path};

use causeway_fuzz::{
    TARGETS,
    target::{self, seal::genuine},
};

#[test]
fn every_target_holds_on_its_corpus() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, run) in TARGETS {
        let mut inputs: Vec<_> = fs::read_dir(home.join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        inputs.sort();
        let mut good = 0;
        assert!(inputs.len() >= 5, "{name} has no corpus to speak of");
        for input in inputs {
            let bytes = fs::read(&input).unwrap();
            eprintln!("{}", input.display());
            let is_accepted = run(&bytes);
            let name = input.file_name().unwrap().to_str().unwrap().to_owned();
            let must_be = name.contains("good") || name.starts_with("genuine");
            assert!(is_accepted || !must_be, "{} is refused", input.display());
            good += usize::from(must_be);
        }
        assert!(good > 0, "{name} has nothing that must be accepted");
        run(b"");
    }
}

/// Parts of a path that some server reads differently, in every order of three.
#[test]
fn s161_no_path_of_odd_parts_is_read_as_one_that_the_rules_refuse() {
    const PARTS: [&str; 39] = [
        "/",
        "a",
        ".",
        "..",
        "+",
        "%",
        "2",
        "2e",
        "f",
        ":",
        "@",
        ";",
        "\\",
        "%20",
        "%23",
        "%25",
        "%2B",
        "%2e",
        "%2E",
        "%2f",
        "%2F",
        "%3A",
        "%3b",
        "%3f",
        "%40",
        "%5c",
        "%00",
        "%0a",
        "%22",
        "%3C",
        "%3e",
        "%ef%bc%82",
        "%7B",
        "%c3%a9",
        "%ef%bc%8f",
        "%e3%85%a4",
        "%cd%8f",
        "&",
        "%7E",
    ];
    let mut accepted = 0;
    for prefix in ["/users/", "/users"] {
        for first in PARTS {
            for second in PARTS {
                for third in PARTS {
                    for end in ["", "/x"] {
                        let input = format!("GET\n{prefix}{first}{second}{third}{end}");
                        accepted += usize::from(target::path::run(input.as_bytes()));
                    }
                }
            }
        }
    }
    assert!(accepted > 2_000, "{accepted}");
}

#[test]
fn the_corpus_of_seals_holds_the_genuine_ones() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/seal");
    for (at, blob) in genuine().iter().enumerate() {
        assert_eq!(fs::read(home.join(format!("genuine-{at}"))).unwrap(), *blob, "the format of sealed blobs changed");
    }
}
