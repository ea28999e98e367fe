//! A stream's connection to its user's hub: a WebSocket.

use causeway_core::{
    runtime::{
        platform::{OpenStream, Opened},
        unavailable::Unavailable,
    },
    stream::driver::socket::{HubConnector, HubSocket},
};
use causeway_protocol::channel::Channel;
use futures_util::StreamExt as _;
use web_sys::AbortSignal;
use worker::{WebSocket, WebsocketEvent};

use crate::{client_signal::OnDisconnect, object, platform::Workers, user_hub};

/// Closes the socket when the stream that owns it is dropped. So a client that disconnects no longer counts at the hub.
struct CloseOnDrop(WebSocket);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        // Fails if it is closed already.
        let _ = self.0.close(Some(1000), Some("stream closed"));
    }
}

/// Opens sockets to a user's hub.
pub(crate) struct UserHub {
    workers: Workers,
    subject: String,
    /// The headers of [`user_hub::OPEN`] that are the same each time.
    headers: String,
}

impl UserHub {
    pub(crate) fn new(workers: Workers, request: &OpenStream) -> Self {
        let mut headers = format!("{}\n{}", user_hub::SESSION_HEADER, request.session.as_str());
        if !request.channels.is_empty() {
            let channels: Vec<_> = request.channels.iter().map(Channel::as_str).collect();
            headers.extend(["\n", user_hub::CHANNELS_HEADER, "\n", &channels.join(",")]);
        }
        Self { workers, subject: request.subject.to_string(), headers }
    }
}

impl HubConnector for UserHub {
    async fn open(&self, last_event_id: Option<&str>) -> Result<Opened<HubSocket>, Unavailable> {
        let mut headers = self.headers.clone();
        // An id with a line break is none that the edge gave.
        if let Some(id) = last_event_id.filter(|id| !id.contains('\n')) {
            headers.extend(["\n", user_hub::LAST_EVENT_ID_HEADER, "\n", id]);
        }
        let object = self.workers.object(user_hub::DEPENDENCY, "USER_HUB", &self.subject);
        let response = object.open(user_hub::OPEN, &headers).await?;
        match response.status_code() {
            object::GONE => return Ok(Opened::SessionEnded),
            object::FULL => return Ok(Opened::TooManyStreams),
            _ => {}
        }
        let socket = response.websocket().ok_or_else(|| Unavailable::new(user_hub::DEPENDENCY, "opened no socket"))?;
        Ok(Opened::Stream(hub_socket(socket, &self.workers.client_disconnect())))
    }
}

fn hub_socket(socket: WebSocket, client_disconnect: &AbortSignal) -> HubSocket {
    let to_hub = socket.clone();
    let closing = socket.clone();
    // Without it, only a failed keep-alive reveals that the client has disconnected; behind a buffering proxy, the second.
    let on_disconnect =
        OnDisconnect::new(client_disconnect, move || drop(closing.close(Some(1000), Some("client left"))));
    let messages = async_stream::stream! {
        let _on_disconnect = on_disconnect;
        let socket = CloseOnDrop(socket);
        // No message is dispatched before `accept`, so none is missed before `events` listens.
        let Ok(mut events) = socket.0.events() else { return };
        if socket.0.accept().is_err() {
            return;
        }
        while let Some(Ok(WebsocketEvent::Message(message))) = events.next().await {
            if let Some(text) = message.text() {
                yield text;
            }
        }
    };
    HubSocket {
        messages: Box::pin(messages),
        // A closed hub is noticed when its messages end.
        send: Box::new(move |text| drop(to_hub.send_with_str(text))),
    }
}
