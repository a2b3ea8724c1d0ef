//! Bodies that do not drip: whoever does not send the next part, or sends too little in the long run, is told so and let
//! go, instead of holding a request open.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::HttpMessage as _;
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::error::PayloadError;
use bytes::Bytes;
use futures_util::Stream;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::server::Patience;

/// Watches over the body of a request, if it has one.
pub(super) fn watch(request: &mut ServiceRequest, patience: Patience) {
    let payload = request.take_payload();
    if matches!(payload, Payload::None) {
        return;
    }
    let watched = Watched { payload, patience, deadline: None, timer: None };
    request.set_payload(Payload::Stream { payload: Box::pin(watched) });
}

/// Whether a body ended because it came too slowly.
pub(super) fn was_slow(error: &PayloadError) -> bool {
    matches!(error, PayloadError::Io(error) if error.kind() == io::ErrorKind::TimedOut)
}

struct Watched {
    payload: Payload,
    patience: Patience,
    /// From the first time that there was nothing to read.
    deadline: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Stream for Watched {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        match Pin::new(&mut this.payload).poll_next(context) {
            Poll::Ready(Some(Ok(part))) => {
                this.deadline =
                    this.deadline.map(|deadline| this.patience.extend(deadline, part.len(), Instant::now()));
                Poll::Ready(Some(Ok(part)))
            }
            Poll::Ready(end) => Poll::Ready(end),
            Poll::Pending => {
                let deadline = *this.deadline.get_or_insert_with(|| this.patience.begin(Instant::now()));
                let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
                if timer.deadline() != deadline {
                    timer.as_mut().reset(deadline);
                }
                let late = || Some(Err(PayloadError::Io(io::ErrorKind::TimedOut.into())));
                timer.as_mut().poll(context).map(|()| late())
            }
        }
    }
}
