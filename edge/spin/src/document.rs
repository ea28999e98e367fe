//! An upstream's HTML, changed while it streams.

use std::{borrow::Cow, cell::RefCell, rc::Rc};

use causeway_core::runtime::platform::Insertion;
use http_body_util::BodyExt as _;
use lol_html::{
    ElementContentHandlers, HtmlRewriter, MemorySettings, Selector, Settings,
    html_content::{ContentType, Element},
};
use spin_sdk::wasip3::{
    http::types,
    http_compat::{BodyResult, IncomingBody},
    spawn,
    wit_bindgen::{FutureReader, StreamReader, StreamWriter},
    wit_future, wit_stream,
};

/// The most memory that one document may take, in bytes. Elements without an end tag stay open until their parent ends:
/// this is enough for a table of some ten thousand rows.
const MAX_MEMORY_BYTES: usize = 4 * 1024 * 1024;

/// Answers with a changed document. `head` makes the answer from its body.
///
/// # Errors
/// The body cannot be read, or the answer not be made.
pub(crate) fn respond(
    document: types::Response,
    insertion: Insertion,
    head: impl FnOnce(StreamReader<u8>, FutureReader<BodyResult>) -> Result<types::Response, String>,
) -> Result<types::Response, String> {
    let mut document = IncomingBody::new(document).map_err(|error| format!("{error:?}"))?;
    let Insertion { elements, attributes, html } = insertion;
    let selectors: Vec<(&str, Selector)> = elements
        .iter()
        .map(|&element| Ok((element, element.parse::<Selector>().map_err(|error| error.to_string())?)))
        .collect::<Result<_, String>>()?;
    let (mut writer, contents) = wit_stream::new();
    let (result, trailers) = wit_future::new(|| Err(types::ErrorCode::InternalError(Some("broke off".to_owned()))));
    let response = head(contents, trailers)?;
    spawn(async move {
        let changed = Rc::new(RefCell::new(Vec::new()));
        let output = Rc::clone(&changed);
        let html = &html;
        let handlers = selectors.into_iter().map(|(name, selector)| {
            let handler = ElementContentHandlers::default().element(move |found: &mut Element<'_, '_>| {
                let values: Vec<_> = attributes.iter().map(|name| found.get_attribute(name)).collect();
                found.prepend(&html(name, &values), ContentType::Html);
                Ok(())
            });
            (Cow::Owned(selector), handler)
        });
        let settings = Settings {
            element_content_handlers: handlers.collect(),
            memory_settings: MemorySettings { max_allowed_memory_usage: MAX_MEMORY_BYTES, ..MemorySettings::new() },
            // A document that is ambiguous passes as it is, instead of breaking off.
            strict: false,
            ..Settings::new()
        };
        let mut rewriter =
            HtmlRewriter::new(settings, move |chunk: &[u8]| output.borrow_mut().extend_from_slice(chunk));
        // Without its end, the client sees that the document broke off.
        while let Some(frame) = document.frame().await {
            let Ok(frame) = frame else { return };
            let Some(data) = frame.data_ref() else { continue };
            if rewriter.write(data).is_err() || !send(&mut writer, &changed).await {
                return;
            }
        }
        if rewriter.end().is_ok() && send(&mut writer, &changed).await {
            drop(writer);
            let _ = result.write(Ok(None)).await;
        }
    });
    Ok(response)
}

/// Writes what has been changed so far. `false` if the client has disconnected.
async fn send(writer: &mut StreamWriter<u8>, changed: &RefCell<Vec<u8>>) -> bool {
    let bytes = changed.take();
    bytes.is_empty() || writer.write_all(bytes).await.is_empty()
}
