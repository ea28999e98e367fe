//! Embeds the built widget. A release build for Wasm fails without it; any other build goes on with no assets.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a build script reports errors by failing"
)]

use std::{env, fs, path::Path};

fn main() {
    let dist = Path::new("../../widget/dist");
    let manifest = dist.join("manifest.json");
    println!("cargo::rerun-if-changed={}", manifest.display());
    let out = Path::new(&env::var("OUT_DIR").expect("cargo sets OUT_DIR")).join("assets.rs");
    let rows = match fs::read_to_string(&manifest) {
        Ok(text) => rows(dist, &text),
        Err(_)
            if env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family == "wasm")
                && env::var("PROFILE").is_ok_and(|p| p == "release") =>
        {
            panic!("the widget is not built: run `npm run build:widget` first");
        }
        Err(_) => String::new(),
    };
    fs::write(out, format!("static ASSETS: &[Asset] = &[\n{rows}];\n")).expect("OUT_DIR is writable");
}

fn rows(dist: &Path, manifest: &str) -> String {
    let manifest: serde_json::Value = serde_json::from_str(manifest).expect("widget/dist/manifest.json is JSON");
    let files = manifest["files"].as_array().expect("widget/dist/manifest.json lists its files");
    let mut rows = String::new();
    for file in files {
        let name = file["name"].as_str().expect("a file has a name");
        let path = dist.join(name).canonicalize().expect("a listed file exists");
        println!("cargo::rerun-if-changed={}", path.display());
        let sri = file["sri"].as_str().expect("a file has an integrity value");
        rows += &row(name, false, sri, &path);
        if let Some(hashed) = file["hashed"].as_str() {
            rows += &row(hashed, true, sri, &path);
        }
    }
    let path = dist.join("manifest.json").canonicalize().expect("the manifest was read");
    let sri = files.iter().filter_map(|file| file["hashed"].as_str()).collect::<Vec<_>>().join(".");
    rows + &row("manifest.json", false, &sri, &path)
}

/// `tag` names the content.
fn row(name: &str, immutable: bool, tag: &str, path: &Path) -> String {
    let content_type = match name.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("html") => "text/html; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    format!(
        "    Asset {{ name: {name:?}, content_type: {content_type:?}, immutable: {immutable}, tag: {:?}, \
         bytes: include_bytes!({:?}) }},\n",
        format!("\"{tag}\""),
        path.display().to_string()
    )
}
