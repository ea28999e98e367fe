use proptest::prelude::*;

use super::*;

/// Every known spelling of a path that some server behind a proxy read as a different path.
const REFUSED: &[&str] = &[
    // Dots: plain, encoded once or twice, in part or in whole.
    "/a/../b",
    "/..",
    "/../b",
    "/a/..",
    "/a/./b",
    "/.",
    "/a/.",
    "/a/...",
    "/a/..../b",
    "/a/%2e%2e/b",
    "/a/%2E%2E/b",
    "/a/.%2e/b",
    "/a/%2e./b",
    "/a/%2e/b",
    "/a/%252e%252e/b",
    "/a/%25252e%25252e/b",
    "/a/%25%32%65%25%32%65/b",
    "/a/%%32%65%%32%65/b",
    // Dots among spaces, which some file servers strip.
    "/a/%20",
    "/a/..%20/b",
    "/a/%20../b",
    "/a/%e3%80%80../b",
    // Path parameters, which some servers cut off before they check for dots.
    "/a/..;/b",
    "/a/..;a=b/c",
    "/a/;/b",
    "/a/.;/b",
    "/a;x=1/b",
    "/a/%3b/b",
    "/a/%3B/b",
    "/a/..%3b/b",
    "/a/%253b/b",
    // Encoded slashes, and backslashes.
    "/a/%2f/b",
    "/a%2fb",
    "/a%2Fb",
    "/a/..%2fb",
    "/a/%2e%2e%2fb",
    "/a%252fb",
    "/a\\..\\b",
    "/a\\b",
    "\\a",
    "/\\a",
    "/a/%5c/b",
    "/a/..%5cb",
    "/a%5Cb",
    "/a%255cb",
    // Empty segments.
    "//a",
    "//",
    "///a",
    "/a//b",
    "/",
    "/a//",
    "",
    "a",
    "a/b",
    // Control characters, and characters that end a string or a line in some programs.
    "/a%00",
    "/a%00.json",
    "/a%0a",
    "/a%0d%0aX: y",
    "/a%09",
    "/a\0",
    "/a\n",
    "/a\t",
    "/a\r\nX: y",
    "/a%7f",
    "/a b",
    // Invalid UTF-8, overlong encodings, surrogates, and code points beyond Unicode.
    "/a/%c0%ae%c0%ae/b",
    "/a/%c0%af/b",
    "/a/%e0%80%ae/b",
    "/a/%f0%80%80%ae/b",
    "/a/%c1%9c/b",
    "/a/%e9",
    "/a/%ff",
    "/a/%ed%a0%80",
    "/a/%f5%80%80%80",
    "/a/%c3",
    "/a/%a9%c3",
    // Malformed escapes.
    "/a/%",
    "/a/%2",
    "/a/%zz",
    "/a/%u002e",
    "/a/%u2215",
    "/a/%+2e",
    "/a/% 2e",
    "/a/%-1",
    "/a/%0x2e",
    // Characters that compatibility mappings turn into dots and slashes.
    "/a/%ef%bc%8e%ef%bc%8e/b",
    "/a/%ef%bc%8f/b",
    "/a/%e2%80%a5/b",
    "/a/%e2%80%a4%e2%80%a4/b",
    "/a/%e2%88%95b",
    "/a/%e2%81%84b",
    "/a/%ef%bc%bcb",
    "/a/%e3%80%82%e3%80%82/b",
    "/a/%c2%85",
    "/a/%e2%80%a6/b",
    // Other parts of a URL in place of a path.
    "@evil/a",
    "https://evil/a",
    "http:/evil",
    ":80/a",
    ":443",
    "evil.example/a",
    "?a",
    "#a",
    "/a?b",
    "/a#b",
    "/a|b",
    "/a\"b",
    "/a<b>",
    "/a[b]",
    "/a{b}",
    "/a^b",
    "/a`b",
    "*",
    // Letters beyond ASCII that are not encoded.
    "/a\u{e9}",
    "/\u{ff0e}\u{ff0e}/a",
    // An encoded letter: another spelling of an allowed path, which no rule would match.
    "/%61dmin",
    "/a/%41",
    // Where a decoded `?` or `#` cuts the path off, nothing or dots would be left.
    "/a/%23",
    "/a/%23b",
    "/a/%3fb",
    "/a/..%23/b",
    "/a/.%3f",
    "/a/%20%23b",
    "/a/..%20%23b",
    // Dots beside a plus, which some decoders read as a space.
    "/a/..+/b",
    "/a/+..%2B",
    "/a/+",
    // Dots and invisible characters.
    "/a/..%E3%85%A4",
    "/a/%E3%85%A4",
    "/a/..%E1%85%9F/b",
    "/a/%E1%85%A0../b",
    "/a/.%CD%8F./b",
    "/a/%E2%80%8C..",
    "/a/..%E2%80%8D%20",
    "/a/%EF%BB%BF",
    "/a/.%C2%AD.%23b",
    "/a/..%EF%BE%A0",
    "/a/..%EF%B8%8F",
    "/a/%F3%A0%84%80..",
    // Characters of private use, by which some systems write what a file name cannot have.
    "/a/%EF%80%AF",
    "/a/%F3%A0%80%AF",
    "/a/%EF%BF%BD",
    "/a/%E2%80%A8",
    // A percent sign in which a second decoder may find an escape.
    "/a%2541",
    "/a%25%34%31",
    "/a%25+2e",
    "/a%25%202e",
    "/a%25u002e",
    "/a%25%25",
    "/a/%25",
    "/a/%25/b",
    "/a%252",
    "/a%252z",
    "/a%25-f",
    "/a%25Uf",
    "/a%25%EF%BC%92%EF%BC%8F",
    "/a%25%E2%80%8C2f",
    "/a%2525of",
    // Nothing but wildcards of Windows' file systems, which match dots or nothing.
    "/a/%22%22",
    "/a/%22%22/b",
    "/a/%3c",
    "/a/%3E",
    "/a/.%22",
    "/a/%3C.%3E/b",
    "/a/%22+%22",
    "/a/%22%23b",
    "/a/%EF%BC%82%EF%BC%9C",
    "/a/%EF%B9%A4..",
    "/a/*",
    "/a/**/b",
    "/a/%2A",
    "/a/.*/b",
    "/a/*.*",
    "/a/*%3fb",
    "/a/%CA%BA%CA%BA/b",
];

#[test]
fn s90_every_ambiguous_spelling_is_refused() {
    for path in REFUSED {
        assert_eq!(AllowedPath::parse(path), None, "{path:?}");
    }
}

#[test]
fn plain_paths_are_kept_byte_for_byte() {
    for path in [
        "/a",
        "/v1.0/me",
        "/repos/a-b/c_d/x~1",
        "/a/caf%C3%A9%20x",
        "/a/b.c..d",
        "/a/.well-known",
        "/u/a@b:c",
        "/a/%F0%9F%98%80",
        "/a/",
        "/a/b/",
        "/users/ada_corp.example%23EXT%23%40tenant.onmicrosoft.com",
        "/a/%40%23%2B%26%3D%3A%20x%3F%5B%5D%7B%7D%7C%21%24%27%28%29%2a%2C%5e%60",
        "/a/100%25.txt",
        "/a/50%25%20off",
        "/a/50%25off",
        "/a/100%25",
        "/a/100%25/b",
        "/a/%25xyz",
        "/a/%25ultra",
        "/a/b&c=d",
        "/a/*.txt",
        "/a/x*",
        "/a/%22x%22/%3Cy%3E",
        "/a/1%20%3C%202%3E",
        "/a/x%7Ey%2Dz%5f",
    ] {
        assert_eq!(AllowedPath::parse(path).unwrap().as_str(), path);
    }
}

/// A path with a name below `/files/`, encoded as browsers do.
fn path_of(name: &str) -> String {
    let escaped = name.bytes().map(|byte| match byte {
        byte if byte.is_ascii_alphanumeric() || byte == b'.' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    format!("/files/{}", escaped.collect::<String>())
}

#[test]
fn file_names_of_any_script_are_kept() {
    for name in [
        "हिन्दी.pdf",
        "เที่ยว",
        "می\u{200c}خواهم.docx",
        "John’s report.docx",
        "Budget – 2024.xlsx",
        "“q”",
        "the \"new\" plan.docx",
        "a < b > c",
        "100 €",
        "№5",
        "日本・語",
        "٣٤٥",
        "❤\u{fe0f}",
        "👩\u{200d}💻",
        "か\u{3099}",
        "e\u{301}",
        "§ 5 • A → B",
        "ﬁle",
        "ｆｕｌｌ",
        "தமிழ்",
        "שלום\u{200f}",
        "«x»",
        "2 ∗ 3",
        "© 2024 ™",
    ] {
        let path = path_of(name);
        let parsed = AllowedPath::parse(&path).unwrap_or_else(|| panic!("{name}"));
        assert_eq!((parsed.as_str(), parsed.segments()[1].as_str()), (path.as_str(), name));
    }
}

/// The table is complete, and refuses nothing else.
#[test]
fn s90_exactly_the_characters_that_normalise_to_refused_ones_are_refused() {
    use super::lookalike::is_replaced;
    use unicode_normalization::UnicodeNormalization as _;
    let is_unsafe = |c: char| "/\\.;%?#".contains(c) || c.is_control() || is_replaced(c);
    let differing: Vec<String> = ('\u{80}'..=char::MAX)
        .filter(|c| {
            let is_expected = is_unsafe(*c) || c.nfkc().any(is_unsafe) || c.nfkd().any(is_unsafe);
            reads_as_ascii(*c) != is_expected
        })
        .map(|c| format!("U+{:04X}", u32::from(c)))
        .collect();
    assert!(differing.is_empty(), "{differing:?}");
}

#[test]
fn s90_characters_that_normalise_to_wildcards_are_wildcards() {
    use super::lookalike::is_wildcard;
    use unicode_normalization::UnicodeNormalization as _;
    for c in ('\0'..=char::MAX).filter(|c| c.nfkc().all(|c| "\"<>*".contains(c))) {
        assert!(is_wildcard(c), "U+{:04X}", u32::from(c));
    }
    assert!(!('\0'..='\u{7f}').any(|c| is_wildcard(c) != "\"<>*".contains(c)));
}

#[test]
fn s90_a_name_of_nothing_but_what_becomes_a_wildcard_is_refused() {
    for c in "\u{2ba}\u{30e}″‶‹›«»“”„‟∗⁎٭〈〉〈〉《》〝〞〟❝❞＊﹡".chars() {
        for name in [format!("{c}{c}"), format!("..{c}"), format!("{c} ")] {
            assert!(AllowedPath::parse(&path_of(&name)).is_none(), "{c} U+{:04X}", u32::from(c));
        }
        assert!(AllowedPath::parse(&path_of(&format!("a{c}"))).is_some(), "{c} U+{:04X}", u32::from(c));
    }
}

#[test]
fn s90_characters_that_normalise_to_separators_or_dots_are_refused() {
    for c in "︰︙;︔︖⁇⁈⁉℀℁℅℆⒈🄀㏂¥₩‥…⁄∕＼．／；。․∖⧸⧹⧵⃥｡％＃？﹨￥￦½٪۔‰♯♪╱╲".chars()
    {
        let escaped: String = c.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
        assert!(AllowedPath::parse(&format!("/repos/a{escaped}b")).is_none(), "{c} U+{:04X}", u32::from(c));
    }
}

#[test]
fn only_the_path_of_a_services_own_url_is_its_root() {
    assert!(AllowedPath::below_service("/").unwrap().is_root());
    assert!(!AllowedPath::below_service("/a").unwrap().is_root());
    for path in ["", "//", "/.", "/%20", "/%23"] {
        assert_eq!(AllowedPath::below_service(path), None, "{path}");
    }
}

#[test]
fn s105_a_path_has_a_maximum_length() {
    assert!(AllowedPath::parse(&format!("/{}", "a".repeat(MAX_PATH_BYTES - 1))).is_some());
    assert!(AllowedPath::parse(&format!("/{}", "a".repeat(MAX_PATH_BYTES))).is_none());
}

proptest! {
    /// Decoding an allowed path any number of times yields no other segments.
    #[test]
    fn s90_repeated_decoding_yields_no_other_path(path in "(/([a-z.;%&\\\\:@+-]|%[0-9a-f]{2}|%25[0-9a-f]{2}|%2[035]|%3f){0,6}){1,4}") {
        if AllowedPath::parse(&path).is_some() {
            let once = percent_decode(path.as_bytes());
            prop_assert_eq!(&percent_decode(&once), &once);
            let text = String::from_utf8(once).unwrap();
            prop_assert_eq!(text.split('/').count(), path.split('/').count());
            let cut = text.split(['?', '#']).next().unwrap();
            let names = |text: &str| text.trim_end_matches('/').split('/').skip(1).map(str::to_owned).collect::<Vec<_>>();
            prop_assert!(!names(cut).is_empty() && !cut.ends_with("//"));
            for segment in [names(&text), names(cut)].concat() {
                prop_assert!(!segment.trim_matches([' ', '+']).bytes().all(|b| b == b'.'), "{}", path);
            }
            prop_assert!(!text.contains(['\\', ';']) && !text.chars().any(char::is_control));
        }
    }
}

fn percent_decode(text: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text);
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = tail.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match escaped {
            Some(byte) if first == b'%' => (out.push(byte), rest = &tail[2..]).1,
            _ => (out.push(first), rest = tail).1,
        }
    }
    out
}

#[test]
fn s90_dots_among_spaces_are_refused() {
    for path in ["/x/..%20/y", "/x/%20../y", "/x/%20/y", "/x/..%E3%80%80/y", "/x/..%C2%A0/y"] {
        assert_eq!(AllowedPath::parse(path), None, "{path}");
    }
    assert!(AllowedPath::parse("/x/a%20b/..c").is_some());
}
