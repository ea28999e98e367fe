//! Variables. The application's come from a store, from the environment or from the manifest's defaults. The component's
//! are templates over those.

use std::{collections::BTreeMap, path::PathBuf};

use crate::{
    bindings::variables::{Error, Host, HostWithStore},
    guest::{Spin, SpinView},
    manifest::Variable,
};
use wasmtime::component::Accessor;

/// Why a variable has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum VariableError {
    #[error("{0:?} is not a variable name")]
    InvalidName(String),
    #[error("template {0:?} has an opening brace pair without its closing one")]
    InvalidTemplate(String),
    #[error("variable {0:?} is used but not declared in [variables]")]
    Undeclared(String),
    #[error("no value for required variable {0:?}: set {prefix}{1}", prefix = PREFIX)]
    Missing(String, String),
}

const PREFIX: &str = "SPIN_VARIABLE_";

/// The application's variables with their values.
#[derive(Debug, Clone)]
pub(crate) struct Variables(BTreeMap<String, Option<String>>);

impl Variables {
    /// Values come from `environment` (the process environment, except in tests), then from the manifest.
    pub(crate) fn new(
        declared: &BTreeMap<String, Variable>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, VariableError> {
        declared
            .iter()
            .map(|(name, variable)| {
                validate(name)?;
                let value =
                    environment(&format!("{PREFIX}{}", name.to_ascii_uppercase())).or_else(|| variable.default.clone());
                Ok((name.clone(), value))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// These variables with other values of some.
    fn with(&self, values: BTreeMap<String, String>) -> Self {
        let mut all = self.0.clone();
        for (name, value) in values {
            if let Some(known) = all.get_mut(&name) {
                *known = Some(value);
            }
        }
        Self(all)
    }

    /// Replaces every `{{ name }}` in `template`.
    pub(crate) fn resolve(&self, template: &str) -> Result<String, VariableError> {
        let mut resolved = String::with_capacity(template.len());
        let mut rest = template;
        while let Some((literal, after)) = rest.split_once("{{") {
            let (name, after) =
                after.split_once("}}").ok_or_else(|| VariableError::InvalidTemplate(template.to_owned()))?;
            resolved.push_str(literal);
            resolved.push_str(self.value(name.trim())?);
            rest = after;
        }
        resolved.push_str(rest);
        Ok(resolved)
    }

    fn value(&self, name: &str) -> Result<&str, VariableError> {
        match self.0.get(name) {
            Some(Some(value)) => Ok(value),
            Some(None) => Err(VariableError::Missing(name.to_owned(), name.to_ascii_uppercase())),
            None => Err(VariableError::Undeclared(name.to_owned())),
        }
    }
}

/// A component's variables. Without a store they are resolved once, since the environment of a running process does not
/// change.
#[derive(Debug)]
pub(crate) struct ComponentVariables {
    resolved: BTreeMap<String, Result<String, VariableError>>,
    store: Option<Store>,
}

/// A file in place of a store of variables, such as Vault: values by name, in TOML. It is read each time.
#[derive(Debug)]
struct Store {
    file: PathBuf,
    templates: BTreeMap<String, String>,
    variables: Variables,
}

impl Store {
    fn resolve(&self, name: &str) -> Result<Option<Result<String, VariableError>>, Error> {
        let text = std::fs::read_to_string(&self.file).map_err(|error| Error::Provider(error.to_string()))?;
        let values = toml::from_str(&text).map_err(|error| Error::Provider(error.to_string()))?;
        let variables = self.variables.with(values);
        Ok(self.templates.get(name).map(|template| variables.resolve(template)))
    }
}

impl ComponentVariables {
    /// Fails for mistakes that do not depend on values. A missing value is an error only when the guest reads it.
    pub(crate) fn new(templates: &BTreeMap<String, String>, variables: &Variables) -> Result<Self, VariableError> {
        templates
            .iter()
            .map(|(name, template)| {
                validate(name)?;
                match variables.resolve(template) {
                    Err(error @ (VariableError::InvalidTemplate(_) | VariableError::Undeclared(_))) => Err(error),
                    resolved => Ok((name.clone(), resolved)),
                }
            })
            .collect::<Result<_, _>>()
            .map(|resolved| Self { resolved, store: None })
    }

    /// With values of a store, which come first.
    pub(crate) fn with_store(self, file: PathBuf, templates: &BTreeMap<String, String>, variables: &Variables) -> Self {
        let store = Store { file, templates: templates.clone(), variables: variables.clone() };
        Self { store: Some(store), ..self }
    }

    /// The variables without a value, for the log at the start.
    pub(crate) fn missing(&self) -> impl Iterator<Item = &VariableError> {
        self.resolved.values().filter_map(|resolved| resolved.as_ref().err())
    }

    fn get(&self, name: &str) -> Result<String, Error> {
        validate(name).map_err(|error| Error::InvalidName(error.to_string()))?;
        let resolved = match &self.store {
            Some(store) => store.resolve(name)?,
            None => self.resolved.get(name).cloned(),
        };
        match resolved {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) => Err(Error::Provider(error.to_string())),
            None => Err(Error::Undefined(format!("the component has no variable {name:?}"))),
        }
    }
}

/// Names are lower-case words of letters and digits joined by single underscores, so that each has one environment
/// variable.
fn validate(name: &str) -> Result<(), VariableError> {
    let allowed = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    let starts = name.starts_with(|first: char| first.is_ascii_lowercase());
    if allowed && starts && !name.ends_with('_') && !name.contains("__") {
        Ok(())
    } else {
        Err(VariableError::InvalidName(name.to_owned()))
    }
}

impl Host for SpinView<'_> {}

impl<T: Send> HostWithStore<T> for Spin {
    async fn get(accessor: &Accessor<T, Self>, name: String) -> wasmtime::Result<Result<String, Error>> {
        Ok(accessor.with(|mut access| access.get().app.variables.get(&name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        let declared = BTreeMap::from([
            ("origin".to_owned(), Variable { default: None }),
            ("log_level".to_owned(), Variable { default: Some("info".to_owned()) }),
            ("bridge".to_owned(), Variable { default: None }),
        ]);
        let environment = |name: &str| (name == "SPIN_VARIABLE_ORIGIN").then(|| "https://edge.example".to_owned());
        Variables::new(&declared, environment).unwrap()
    }

    #[test]
    fn environment_takes_precedence_over_default() {
        assert_eq!(variables().resolve("{{ origin }}/{{log_level}}!").unwrap(), "https://edge.example/info!");
    }

    #[test]
    fn error_for_missing_value_names_environment_variable() {
        let error = variables().resolve("{{ bridge }}").unwrap_err();
        assert!(error.to_string().contains("SPIN_VARIABLE_BRIDGE"), "{error}");
    }

    #[test]
    fn templates_are_checked_at_start() {
        for template in ["{{ unknown }}", "{{ origin"] {
            let templates = BTreeMap::from([("a".to_owned(), template.to_owned())]);
            assert!(ComponentVariables::new(&templates, &variables()).is_err(), "{template}");
        }
    }

    #[test]
    fn component_reads_its_own_variables_only() {
        let templates = BTreeMap::from([
            ("url".to_owned(), "{{ origin }}".to_owned()),
            ("b".to_owned(), "{{ bridge }}".to_owned()),
        ]);
        let component = ComponentVariables::new(&templates, &variables()).unwrap();
        assert!(component.get("url").is_ok_and(|value| value == "https://edge.example"));
        assert!(matches!(component.get("b"), Err(Error::Provider(_))));
        assert!(matches!(component.get("origin"), Err(Error::Undefined(_))));
        assert!(matches!(component.get("URL"), Err(Error::InvalidName(_))));
    }
    #[test]
    fn values_of_a_store_are_read_each_time_and_come_first() {
        let templates = BTreeMap::from([("url".to_owned(), "{{ origin }}/{{ log_level }}".to_owned())]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("store");
        let component = ComponentVariables::new(&templates, &variables()).unwrap();
        let component = component.with_store(file.clone(), &templates, &variables());
        assert!(matches!(component.get("url"), Err(Error::Provider(_))), "there is no store");
        for (text, expected) in [
            ("", "https://edge.example/info"),
            ("origin = \"https://other.example\"\nunknown = \"x\"", "https://other.example/info"),
            ("log_level = \"warn\"", "https://edge.example/warn"),
        ] {
            std::fs::write(&file, text).unwrap();
            assert!(component.get("url").is_ok_and(|value| value == expected), "{text}");
        }
        assert!(matches!(component.get("other"), Err(Error::Undefined(_))));
    }
}
