//! Reads `spin.toml`, manifest version 2.
//!
//! One component, its HTTP triggers, variables and permissions. Features that this host does not support (files, SQLite
//! databases, a second component) are errors that name the feature, so that none is silently ignored.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;

/// A manifest that cannot be run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManifestError {
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("not a Spin manifest")]
    Parse(#[from] toml::de::Error),
    #[error("spin_manifest_version {0} is not 2")]
    Version(u32),
    #[error("the manifest has no [[trigger.http]]")]
    NoTrigger,
    #[error("[[trigger.http]] names component {0:?}, which is not defined")]
    UnknownComponent(String),
    #[error("this host runs one component; the manifest's triggers name {0:?} and {1:?}")]
    SecondComponent(String, String),
    #[error("component {component:?} asks for `{field}`, which this host does not offer")]
    Unsupported { component: String, field: String },
}

#[derive(Debug, Deserialize)]
struct Document {
    spin_manifest_version: u32,
    #[serde(default)]
    variables: BTreeMap<String, Variable>,
    trigger: Triggers,
    component: BTreeMap<String, Component>,
}

/// An application variable.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Variable {
    /// The value if the environment has none. A variable without a default is required.
    pub(crate) default: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Triggers {
    #[serde(default)]
    http: Vec<Trigger>,
}

#[derive(Debug, Deserialize)]
struct Trigger {
    route: String,
    component: String,
}

/// `[component.<id>]`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Component {
    source: PathBuf,
    /// The component's variables, as templates over the application's.
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, String>,
    /// The hosts it may connect to, as templates.
    #[serde(default)]
    pub(crate) allowed_outbound_hosts: Vec<String>,
    /// Labels of the key-value stores it may open.
    #[serde(default)]
    pub(crate) key_value_stores: Vec<String>,
    /// The guest's environment.
    #[serde(default)]
    pub(crate) environment: BTreeMap<String, String>,
    #[serde(flatten)]
    other: BTreeMap<String, toml::Value>,
}

/// A manifest that this host can run.
#[derive(Debug)]
pub(crate) struct Manifest {
    /// The component.
    pub(crate) component: Component,
    /// The component's file.
    pub(crate) source: PathBuf,
    /// Routes of the component's HTTP triggers, as written.
    pub(crate) routes: Vec<String>,
    /// The application's variables.
    pub(crate) variables: BTreeMap<String, Variable>,
}

/// Fields of a component that have no effect at run time.
const HARMLESS_FIELDS: [&str; 3] = ["build", "description", "tool"];

impl Manifest {
    /// Reads the manifest at `path`. Paths in it are relative to its folder.
    pub(crate) fn read(path: &Path) -> Result<Self, ManifestError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ManifestError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path.parent().unwrap_or(Path::new(".")))
    }

    fn parse(text: &str, folder: &Path) -> Result<Self, ManifestError> {
        let Document { spin_manifest_version, variables, trigger, mut component } = toml::from_str(text)?;
        if spin_manifest_version != 2 {
            return Err(ManifestError::Version(spin_manifest_version));
        }
        let mut triggers = trigger.http.into_iter();
        let Trigger { route, component: id } = triggers.next().ok_or(ManifestError::NoTrigger)?;
        let mut routes = vec![route];
        for Trigger { route, component } in triggers {
            if component != id {
                return Err(ManifestError::SecondComponent(id, component));
            }
            routes.push(route);
        }
        let component = component.remove(&id).ok_or_else(|| ManifestError::UnknownComponent(id.clone()))?;
        if let Some(field) = component.other.keys().find(|field| !HARMLESS_FIELDS.contains(&field.as_str())) {
            return Err(ManifestError::Unsupported { component: id, field: field.clone() });
        }
        let source = folder.join(&component.source);
        Ok(Self { component, source, routes, variables })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDGE: &str = r#"
        spin_manifest_version = 2
        [application]
        name = "edge"
        [variables]
        origin = { required = true }
        level = { default = "info" }
        [[trigger.http]]
        route = "/..."
        component = "edge"
        [component.edge]
        source = "edge.wasm"
        key_value_stores = ["default"]
        [component.edge.variables]
        origin = "{{ origin }}"
        [component.edge.build]
        command = "cargo build"
    "#;

    #[test]
    fn reads_supported_fields() {
        let manifest = Manifest::parse(EDGE, Path::new("/app")).unwrap();
        assert_eq!(manifest.source, Path::new("/app/edge.wasm"));
        assert_eq!(manifest.routes, ["/..."]);
        assert_eq!(manifest.component.key_value_stores, ["default"]);
        assert_eq!(manifest.variables["level"].default.as_deref(), Some("info"));
        assert!(manifest.variables["origin"].default.is_none());
    }

    #[test]
    fn names_unsupported_features() {
        let files = EDGE.replace("key_value_stores = [\"default\"]", "files = [\"assets/*\"]");
        let error = Manifest::parse(&files, Path::new("")).unwrap_err();
        assert!(error.to_string().contains("`files`"), "{error}");

        let second = EDGE.replace(
            "[component.edge]",
            "[[trigger.http]]\nroute = \"/other\"\ncomponent = \"other\"\n[component.edge]",
        );
        assert!(matches!(Manifest::parse(&second, Path::new("")), Err(ManifestError::SecondComponent(..))));

        let redis = format!("{EDGE}\n[[trigger.redis]]\nchannel = \"news\"\ncomponent = \"edge\"");
        assert!(matches!(Manifest::parse(&redis, Path::new("")), Err(ManifestError::Parse(_))));
    }
}
