//! The identity providers of a deployment.

use secrecy::SecretString;

use super::{Source, reader::Reader};
use crate::{
    oauth::provider::{Kind, Provider},
    origin::Origin,
};

impl<S: Source> Reader<'_, S> {
    pub(super) fn providers(&mut self, public_origin: &Origin) -> Vec<Provider> {
        let mut providers = Vec::new();
        if let Some(client_id) = self.optional("ENTRA_CLIENT_ID") {
            providers.extend(self.entra(client_id, public_origin));
        }
        if let Some(client_id) = self.optional("GITHUB_CLIENT_ID") {
            providers.extend(self.github(client_id, public_origin));
        }
        if providers.is_empty() && self.problems.is_empty() {
            self.problem::<()>("ENTRA_CLIENT_ID", "or GITHUB_CLIENT_ID must be set: nobody could sign in");
        }
        providers
    }

    fn entra(&mut self, client_id: String, public_origin: &Origin) -> Option<Provider> {
        let client_secret = self.required("ENTRA_CLIENT_SECRET").map(SecretString::from);
        let tenant = self.required("ENTRA_TENANT")?;
        if !is_guid(&tenant) {
            return self.problem("ENTRA_TENANT", "must be the tenant's id, a lower-case GUID");
        }
        let authority = self.url("ENTRA_AUTHORITY", Some("https://login.microsoftonline.com"))?;
        Some(Provider {
            id: "entra",
            name: "Microsoft",
            client_id,
            client_secret: client_secret?,
            redirect_uri: format!("{public_origin}/auth/entra/callback"),
            scopes: ["openid", "profile", "email", "offline_access", "User.Read"].map(str::to_owned).to_vec(),
            kind: Kind::Entra { tenant, authority },
        })
    }

    fn github(&mut self, client_id: String, public_origin: &Origin) -> Option<Provider> {
        let client_secret = self.required("GITHUB_CLIENT_SECRET").map(SecretString::from);
        let site = self.url("GITHUB_URL", Some("https://github.com"));
        let api = self.url("GITHUB_API_URL", Some("https://api.github.com"))?;
        Some(Provider {
            id: "github",
            name: "GitHub",
            client_id,
            client_secret: client_secret?,
            redirect_uri: format!("{public_origin}/auth/github/callback"),
            scopes: ["read:user", "user:email"].map(str::to_owned).to_vec(),
            kind: Kind::GitHub { site: site?, api },
        })
    }
}

/// Whether a text is a GUID in the lower-case form that Entra writes.
#[must_use]
pub(crate) fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(n, b)| match n {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_digit() || (b'a'..=b'f').contains(&b),
        })
}
