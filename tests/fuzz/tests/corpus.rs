//! Replays the corpus without a fuzzer: earlier findings stay fixed, and every target runs.

use std::{fs, path::Path};

use causeway_fuzz::{TARGETS, target::seal::genuine};

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

#[test]
fn the_corpus_of_seals_holds_the_genuine_ones() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/seal");
    for (at, blob) in genuine().iter().enumerate() {
        assert_eq!(fs::read(home.join(format!("genuine-{at}"))).unwrap(), *blob, "the format of sealed blobs changed");
    }
}
