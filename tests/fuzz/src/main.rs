//! libFuzzer around the target that `CAUSEWAY_FUZZ_TARGET` names. `scripts/fuzz` builds and runs it.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = causeway_fuzz::chosen()(data);
});

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    eprintln!("built without libFuzzer: run scripts/fuzz");
    std::process::ExitCode::FAILURE
}
