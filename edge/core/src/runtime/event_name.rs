//! The names of the lines in the log.

use super::closed_list::closed_list;

closed_list! {
    /// The name of a line in the log. docs/operations.md describes each.
    pub enum EventName {
        Config = "config",
        ConfigChanged = "config.changed",
        DeliverHub = "deliver.hub",
        InstallationLimited = "installation.limited",
        InstallationNotKept = "installation.not-kept",
        InstallationRefused = "installation.refused",
        InstallationUnavailable = "installation.unavailable",
        Login = "login",
        LoginAsked = "login.asked",
        LoginUserinfo = "login.userinfo",
        LogoutBackchannel = "logout.backchannel",
        LogoutEndSession = "logout.end-session",
        LogoutFrontchannel = "logout.frontchannel",
        LogoutFrontchannelFailed = "logout.frontchannel-failed",
        LogoutUnsettled = "logout.unsettled",
        LogoutWebhook = "logout.webhook",
        ProviderDocument = "provider.document",
        ProviderNotShared = "provider.not-shared",
        RateUnknown = "rate.unknown",
        Refresh = "refresh",
        RefreshIdToken = "refresh.id-token",
        Reject = "reject",
        RevocationFailed = "revocation.failed",
        SessionKvPut = "session.kv-put",
        SessionRotation = "session.rotation",
        SessionTidy = "session.tidy",
        StreamHole = "stream.hole",
        Upstream = "upstream",
    }
}
