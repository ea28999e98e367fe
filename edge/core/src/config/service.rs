//! The upstream APIs behind `/bff/{service}`.

use super::{Source, reader::Reader};
use crate::{
    oauth::provider::{Kind, Provider},
    proxy::{
        rule::Rule,
        service::{DEFAULT_BODY_LIMIT_BYTES, DEFAULT_TIMEOUT, Service},
    },
};

impl<S: Source> Reader<'_, S> {
    pub(super) fn services(&mut self, providers: &[Provider]) -> Vec<Service> {
        let mut services = Vec::new();
        for provider in providers {
            let (name, base, key, default) = match &provider.kind {
                Kind::GitHub { api, .. } => ("github", Some(api.clone()), "GITHUB_ALLOW", "GET /user"),
                Kind::Entra { .. } => {
                    ("graph", self.url("GRAPH_URL", Some("https://graph.microsoft.com")), "GRAPH_ALLOW", "GET /v1.0/me")
                }
                Kind::OpenId { .. } => continue,
            };
            let rules = Rule::parse_list(&self.optional(key).unwrap_or_else(|| default.to_owned()));
            let Some(rules) = rules else {
                self.problem::<()>(key, "must be rules such as `GET /user, GET /repos/*`");
                continue;
            };
            services.extend(base.map(|base| Service {
                name: name.to_owned(),
                provider: provider.id.to_owned(),
                base,
                rules,
                body_limit_bytes: DEFAULT_BODY_LIMIT_BYTES,
                timeout: DEFAULT_TIMEOUT,
            }));
        }
        services
    }
}
