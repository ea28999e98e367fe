//! Embeds the built widget, packed, and its first state. A release build for Wasm fails without it; any other build goes on
//! with no assets. `CAUSEWAY_SOURCE_MAPS=1` also embeds the source maps of its scripts, which are several times their size.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a build script reports errors by failing"
)]

use std::{
    env, fs,
    path::{Path, PathBuf},
};

fn main() {
    let dist = Path::new("../../widget/dist");
    let manifest = dist.join("manifest.json");
    println!("cargo::rerun-if-changed={}", manifest.display());
    println!("cargo::rerun-if-env-changed=CAUSEWAY_SOURCE_MAPS");
    let has_maps = env::var("CAUSEWAY_SOURCE_MAPS").is_ok_and(|value| value == "1");
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let out = Path::new(&out);
    let (rows, shell) = match fs::read_to_string(&manifest) {
        Ok(text) => (rows(dist, out, &text, has_maps), shell(dist)),
        Err(_)
            if env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family == "wasm")
                && env::var("PROFILE").is_ok_and(|p| p == "release") =>
        {
            panic!("the widget is not built: run `npm run build:widget` first");
        }
        Err(_) => (String::new(), "None".to_owned()),
    };
    let write = |name: &str, code: String| fs::write(out.join(name), code).expect("OUT_DIR is writable");
    write("assets.rs", format!("static ASSETS: &[Asset] = &[\n{rows}];\n"));
    write("shell.rs", format!("static SHELL: Option<Template> = {shell};\n"));
}

/// The template of the first state.
fn shell(dist: &Path) -> String {
    let path = dist.join("shell.json");
    println!("cargo::rerun-if-changed={}", path.display());
    let text = fs::read_to_string(path).expect("the widget's build writes widget/dist/shell.json");
    let shell: serde_json::Value = serde_json::from_str(&text).expect("widget/dist/shell.json is JSON");
    let [stylesheet, root, panel, link, launcher, close] = ["stylesheet", "root", "panel", "link", "launcher", "close"]
        .map(|name| shell[name].as_str().expect("widget/dist/shell.json has what the template consists of"));
    let texts: Vec<(String, Vec<(String, String)>)> =
        serde_json::from_value(shell["texts"].clone()).expect("widget/dist/shell.json has the texts by language");
    let texts: String =
        texts.iter().map(|(language, texts)| format!("({language:?}, &{texts:?} as &[(&str, &str)]), ")).collect();
    format!(
        "Some(Template {{ stylesheet: {stylesheet:?}, root: {root:?}, panel: {panel:?}, link: {link:?}, \
         launcher: {launcher:?}, close: {close:?}, texts: &[{texts}] }})"
    )
}

fn rows(dist: &Path, out: &Path, manifest: &str, has_maps: bool) -> String {
    let manifest: serde_json::Value = serde_json::from_str(manifest).expect("widget/dist/manifest.json is JSON");
    let files = manifest["files"].as_array().expect("widget/dist/manifest.json lists its files");
    let mut rows = String::new();
    for file in files {
        let name = file["name"].as_str().expect("a file has a name");
        let packed = Packed::of(&dist.join(name), out);
        let hashed = file["hashed"].as_str().expect("a file has a name with a hash");
        let map = file["map"].as_str().filter(|_| has_maps);
        rows += &row(name, false, hash_of(hashed), map, &packed);
        rows += &row(hashed, true, hash_of(hashed), map, &packed);
        if let Some(map) = map {
            rows += &row(map, true, hash_of(map), None, &Packed::of(&dist.join(format!("{name}.map")), out));
        }
    }
    // It changes when a file does.
    let tag: String = files.iter().filter_map(|file| file["hashed"].as_str()).map(hash_of).collect();
    rows + &row("manifest.json", false, &tag, None, &Packed::of(&dist.join("manifest.json"), out))
}

/// The hash of the content in a name such as `page.0123abcd.css`.
fn hash_of(name: &str) -> &str {
    name.rsplit('.').nth(1).expect("a name with a hash has two dots")
}

/// A file that has been packed.
struct Packed {
    path: PathBuf,
    /// Its length before.
    length: usize,
}

impl Packed {
    /// Packs a file, which cargo watches from now on. Zopfli takes longer than gzip, and its output is 4 % shorter; any
    /// client that knows gzip can read it.
    fn of(path: &Path, out: &Path) -> Self {
        let path = path.canonicalize().expect("a listed file exists");
        println!("cargo::rerun-if-changed={}", path.display());
        let content = fs::read(&path).expect("a listed file is readable");
        let mut packed = Vec::new();
        zopfli::compress(zopfli::Options::default(), zopfli::Format::Gzip, content.as_slice(), &mut packed)
            .expect("memory takes every byte");
        let name = path.file_name().and_then(|name| name.to_str()).expect("a listed file has a name");
        let path = out.join(format!("{name}.gz"));
        fs::write(&path, packed).expect("OUT_DIR is writable");
        Self { path, length: content.len() }
    }
}

/// `tag` names the content, `map` the source map of a script.
fn row(name: &str, immutable: bool, tag: &str, map: Option<&str>, packed: &Packed) -> String {
    let content_type = match name.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("html") => "text/html; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    let Packed { path, length } = packed;
    let path = path.display().to_string();
    format!(
        "    Asset {{ name: {name:?}, content_type: {content_type:?}, immutable: {immutable}, tag: {tag:?}, map: {map:?}, \
         packed: include_bytes!({path:?}), length: {length} }},\n"
    )
}
