//! The widget's first state, as its build wrote it. Everything that is filled in is escaped here.

use crate::http::page::Escaped;

/// HTML with placeholders (`{name}`), and the texts that belong there. See `widget/shell.mjs`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Template {
    /// The name of the style sheet below `/assets/`.
    pub(super) stylesheet: &'static str,
    /// The shadow root.
    pub(super) root: &'static str,
    /// The sign-in panel.
    pub(super) panel: &'static str,
    /// A way to sign in.
    pub(super) link: &'static str,
    /// The button that opens a compact widget.
    pub(super) launcher: &'static str,
    /// The button in its header that closes it.
    pub(super) close: &'static str,
    /// The texts by language. The first language is for all that have none.
    pub(super) texts: &'static [(&'static str, Texts)],
}

/// The texts of a language, by name.
type Texts = &'static [(&'static str, &'static str)];

/// What the first state shows. Nothing of it is escaped.
#[derive(Debug)]
pub(super) struct FirstState<'a> {
    /// The edge's origin.
    pub(super) origin: &'a str,
    /// Whether the chat is shown, or else the sign-in panel.
    pub(super) is_signed_in: bool,
    /// The language, as the page names it.
    pub(super) language: &'a str,
    /// The title, if it is not the widget's own.
    pub(super) heading: Option<&'a str>,
    /// Whether the widget is a button, which opens the chat.
    pub(super) is_compact: bool,
    /// Whether a sign-in opens a window of its own, which takes the script.
    pub(super) is_popup: bool,
    /// The ways to sign in.
    pub(super) ways: &'a [Way],
}

/// A way to sign in.
#[derive(Debug)]
pub(super) struct Way {
    /// The provider's name.
    pub(super) name: String,
    /// Where the sign-in begins. Without it, the script leads there.
    pub(super) address: Option<String>,
}

impl Template {
    /// The shadow root of a state.
    pub(super) fn render(&self, state: &FirstState<'_>) -> String {
        let texts = self.texts_of(state.language);
        fill(self.root, |name| match name {
            "stylesheet" => format!("{}/assets/{}", Escaped(state.origin), self.stylesheet),
            "heading" => Escaped(state.heading.unwrap_or_else(|| text(texts, name))).to_string(),
            // As the widget's status says it.
            "state" => if state.is_signed_in { "connecting" } else { "signed-out" }.to_owned(),
            "status" => Escaped(text(texts, if state.is_signed_in { "connecting" } else { "signedOut" })).to_string(),
            "hiddenChat" => hidden(!state.is_signed_in),
            "hiddenPanel" => hidden(state.is_signed_in),
            "panel" if state.is_signed_in => String::new(),
            "panel" => self.panel(texts, state),
            "launcher" if state.is_compact => fill(self.launcher, |name| Escaped(text(texts, name)).to_string()),
            "closeButton" if state.is_compact => fill(self.close, |name| Escaped(text(texts, name)).to_string()),
            "launcher" | "closeButton" => String::new(),
            _ => Escaped(text(texts, name)).to_string(),
        })
    }

    fn panel(&self, texts: Texts, state: &FirstState<'_>) -> String {
        fill(self.panel, |name| match name {
            "links" => state.ways.iter().map(|way| self.link(texts, way, state.is_popup)).collect(),
            "signInText" if state.ways.is_empty() => Escaped(text(texts, "noProviders")).to_string(),
            _ => Escaped(text(texts, name)).to_string(),
        })
    }

    fn link(&self, texts: Texts, way: &Way, is_popup: bool) -> String {
        let provider = |text: &str| Escaped(&text.replace("{provider}", &way.name)).to_string();
        let address = |more: &str| match &way.address {
            Some(address) if !is_popup => format!(" href=\"{}\"", Escaped(&format!("{address}{more}"))),
            _ => String::new(),
        };
        fill(self.link, |name| match name {
            "href" => address(""),
            // A provider that recognizes its user may sign them in without asking who they are.
            "hrefOther" => address("&prompt=select_account"),
            "provider" => Escaped(&way.name).to_string(),
            _ => provider(text(texts, name)),
        })
    }

    /// The texts of a language: `pt-BR` has those of `pt-BR`, or else of `pt`. Pages also write `pt_BR`.
    fn texts_of(&self, language: &str) -> Texts {
        let tag = language.replace('_', "-");
        let primary = tag.split('-').next().unwrap_or_default();
        let find = |wanted: &str| self.texts.iter().find(|(language, _)| language.eq_ignore_ascii_case(wanted));
        match find(&tag).or_else(|| find(primary)).or(self.texts.first()) {
            Some((_, texts)) => texts,
            None => &[],
        }
    }
}

/// A text by its name. The build fails if one is missing.
fn text(texts: Texts, name: &str) -> &'static str {
    texts.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| *text)
}

fn hidden(is_hidden: bool) -> String {
    if is_hidden { " hidden" } else { "" }.to_owned()
}

/// Replaces each placeholder by a value, in which no placeholder counts.
fn fill(template: &str, value: impl Fn(&str) -> String) -> String {
    let mut html = String::with_capacity(2 * template.len());
    let mut rest = template;
    while let Some((before, (name, after))) =
        rest.split_once('{').and_then(|(before, after)| Some((before, after.split_once('}')?)))
    {
        html.push_str(before);
        html.push_str(&value(name));
        rest = after;
    }
    html.push_str(rest);
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENGLISH: Texts = &[
        ("heading", "Chat"),
        ("connecting", "Connecting…"),
        ("signedOut", "Not signed in"),
        ("signInText", "You will come back."),
        ("noProviders", "Not now."),
        ("signIn", "Continue with {provider}"),
        ("open", "Open chat"),
        ("close", "Close chat"),
    ];
    const GERMAN: Texts = &[("connecting", "Verbinden…"), ("signedOut", "Nicht angemeldet")];
    const BRAZILIAN: Texts = &[("signedOut", "Não conectado")];
    const TEMPLATE: Template = Template {
        stylesheet: "shell.1.css",
        root: r#"<link href="{stylesheet}"><h2>{heading}</h2><i class="{state}">{status}</i><b{hiddenChat}></b><p{hiddenPanel}>{panel}</p>{closeButton}{launcher}"#,
        panel: "{signInText}{links}",
        link: r#"<a{href}>{signIn}</a><a{hrefOther} title="{provider}"></a>"#,
        launcher: r#"<button aria-label="{open}"></button>"#,
        close: r#"<button aria-label="{close}"></button>"#,
        texts: &[("en", ENGLISH), ("de", GERMAN), ("pt-BR", BRAZILIAN)],
    };
    const SIGNED_OUT: FirstState<'static> = FirstState {
        origin: "https://edge.example",
        is_signed_in: false,
        language: "",
        heading: None,
        is_compact: false,
        is_popup: false,
        ways: &[],
    };

    fn way(address: Option<&str>) -> Way {
        Way { name: "Corp & <b>{heading}".to_owned(), address: address.map(str::to_owned) }
    }

    #[test]
    fn signed_in_users_get_the_chat_and_others_the_ways_to_sign_in() {
        let ways = [way(Some("https://edge.example/auth/corp/login?return_to=%2F"))];
        let signed_out = TEMPLATE.render(&FirstState { ways: &ways, ..SIGNED_OUT });
        assert_eq!(
            signed_out,
            "<link href=\"https://edge.example/assets/shell.1.css\"><h2>Chat</h2>\
             <i class=\"signed-out\">Not signed in</i><b hidden></b><p>You will come back.\
             <a href=\"https://edge.example/auth/corp/login?return_to=%2F\">Continue with Corp &amp; &lt;b&gt;{heading}</a>\
             <a href=\"https://edge.example/auth/corp/login?return_to=%2F&amp;prompt=select_account\" \
             title=\"Corp &amp; &lt;b&gt;{heading}\"></a></p>"
        );
        let signed_in = TEMPLATE.render(&FirstState { is_signed_in: true, ways: &ways, ..SIGNED_OUT });
        assert_eq!(
            signed_in,
            "<link href=\"https://edge.example/assets/shell.1.css\"><h2>Chat</h2>\
             <i class=\"connecting\">Connecting…</i><b></b><p hidden></p>"
        );
    }

    #[test]
    fn without_an_address_the_links_wait_for_the_script() {
        let html = TEMPLATE.render(&FirstState { ways: &[way(None)], ..SIGNED_OUT });
        assert!(html.contains("<a>Continue with Corp") && !html.contains("<a href"), "{html}");
    }

    #[test]
    fn links_that_would_leave_the_page_wait_for_the_script_too() {
        let ways = [way(Some("https://edge.example/auth/corp/login?return_to=%2F"))];
        let html = TEMPLATE.render(&FirstState { ways: &ways, is_popup: true, ..SIGNED_OUT });
        assert!(html.contains("<a>Continue with Corp") && !html.contains("<a href"), "{html}");
    }

    #[test]
    fn a_compact_widget_has_its_buttons() {
        let html = TEMPLATE.render(&FirstState { is_compact: true, ..SIGNED_OUT });
        let buttons = "<button aria-label=\"Close chat\"></button><button aria-label=\"Open chat\"></button>";
        assert!(html.ends_with(buttons), "{html}");
        assert!(!TEMPLATE.render(&SIGNED_OUT).contains("button"));
    }

    #[test]
    fn without_providers_the_panel_says_so() {
        assert!(TEMPLATE.render(&SIGNED_OUT).contains("<p>Not now.</p>"));
    }

    #[test]
    fn a_heading_is_text_whatever_it_contains() {
        let heading = Some("</h2><script>{status}\"'&");
        let html = TEMPLATE.render(&FirstState { heading, ..SIGNED_OUT });
        assert!(html.contains("<h2>&lt;/h2&gt;&lt;script&gt;{status}&quot;&#39;&amp;</h2>"), "{html}");
    }

    #[test]
    fn a_language_is_found_by_its_tag_then_by_its_first_part() {
        for (language, status) in [
            ("de", "Nicht angemeldet"),
            ("DE-at", "Nicht angemeldet"),
            ("de_CH", "Nicht angemeldet"),
            ("pt-br", "Não conectado"),
            ("pt", "Not signed in"),
            ("xx", "Not signed in"),
            ("\"><script>", "Not signed in"),
            ("", "Not signed in"),
        ] {
            let html = TEMPLATE.render(&FirstState { language, ..SIGNED_OUT });
            assert!(html.contains(&format!(">{status}</i>")), "{language}: {html}");
        }
    }

    #[test]
    fn braces_without_a_name_stay() {
        assert_eq!(fill("a{b}c{d", |name| name.to_uppercase()), "aBc{d");
        assert_eq!(fill("", |_| String::new()), "");
    }
}
