//! A connection that does not wait for ever: a client that is slow to send a request's head, or to take an answer, loses
//! it, and with it whatever was held for that answer.
//!
//! Between requests the server's keep-alive time counts; while a request is worked on, nothing does. Bodies are watched
//! where they are read (`http::pace`).

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_rustls::server::TlsStream;

use super::crowd::Counted;
use crate::config::ServerSettings;

/// How slow a client may be.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For the head of a request, and for shaking hands.
    pub head: Duration,
    /// Between two requests, before the next one begins.
    pub idle: Duration,
    /// For the next part of a body or of an answer.
    pub stall: Duration,
    /// How many bytes a second in the long run.
    pub least_bytes_per_second: u32,
}

impl Patience {
    /// That of `[server]`.
    #[must_use]
    pub const fn of(server: &ServerSettings) -> Self {
        Self {
            head: Duration::from_secs(server.request_timeout_seconds),
            idle: Duration::from_secs(server.keep_alive_seconds),
            stall: Duration::from_secs(server.stall_timeout_seconds),
            least_bytes_per_second: server.least_bytes_per_second,
        }
    }

    /// When whoever moves nothing more from now on is given up.
    pub(crate) fn begin(&self, now: Instant) -> Instant {
        now + self.stall
    }

    /// When whoever moved `bytes` is given up: later by the time that they may take, and never later than after a stall.
    pub(crate) fn extend(&self, deadline: Instant, bytes: usize, now: Instant) -> Instant {
        let earned = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(1_000);
        let earned = Duration::from_millis(earned / u64::from(self.least_bytes_per_second.max(1)));
        deadline.checked_add(earned.min(self.stall)).unwrap_or(deadline).min(self.begin(now))
    }
}

/// What requests know of the connection that they came over.
#[derive(Debug, Default)]
pub(crate) struct About {
    begun: Cell<u64>,
    going_on: Cell<u32>,
    has_certificate: bool,
}

impl About {
    /// Says that a request is being worked on until what is returned is dropped.
    pub(crate) fn begin(self: &Rc<Self>) -> Working {
        self.begun.set(self.begun.get().wrapping_add(1));
        self.going_on.set(self.going_on.get().saturating_add(1));
        Working(Rc::clone(self))
    }

    /// Whether the client showed a certificate of a trusted authority.
    pub(crate) const fn has_certificate(&self) -> bool {
        self.has_certificate
    }
}

/// That a request is being worked on.
#[derive(Debug)]
pub(crate) struct Working(Rc<About>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.going_on.set(self.0.going_on.get().saturating_sub(1));
    }
}

/// The bytes, encrypted or not.
enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection that was accepted.
pub(super) struct Connection {
    wire: Wire,
    about: Rc<About>,
    patience: Patience,
    /// By when the next request must have begun.
    head_by: Option<Instant>,
    /// Whether a part of its head was read.
    is_head_begun: bool,
    /// Whether a request was being worked on when that was last looked at, and how many had begun.
    was_working: bool,
    begun: u64,
    /// By when the client must have taken more of what waits for it.
    taken_by: Option<Instant>,
    /// Whether there may be something to read that was left where it is.
    is_holding_back: bool,
    timer: Option<Pin<Box<Sleep>>>,
    _counted: Option<Counted>,
}

impl Connection {
    pub(super) fn plain(stream: TcpStream, patience: Patience, counted: Option<Counted>) -> Self {
        Self::over(Wire::Plain(stream), false, patience, counted)
    }

    pub(super) fn tls(stream: TlsStream<TcpStream>, patience: Patience, counted: Option<Counted>) -> Self {
        let has_certificate = stream.get_ref().1.peer_certificates().is_some_and(|chain| !chain.is_empty());
        Self::over(Wire::Tls(Box::new(stream)), has_certificate, patience, counted)
    }

    fn over(wire: Wire, has_certificate: bool, patience: Patience, counted: Option<Counted>) -> Self {
        let about = Rc::new(About { has_certificate, ..About::default() });
        Self {
            wire,
            about,
            patience,
            head_by: None,
            is_head_begun: false,
            was_working: false,
            begun: 0,
            taken_by: None,
            is_holding_back: false,
            timer: None,
            _counted: counted,
        }
    }

    pub(super) fn about(&self) -> Rc<About> {
        Rc::clone(&self.about)
    }

    /// Looks at whether a request began or ended. What the client sent beyond it was read already, perhaps: the next one
    /// must begin in the time for idling and a head, whatever the server's own timers say.
    fn settle(&mut self) {
        let begun = self.about.begun.get();
        if self.about.going_on.get() > 0 {
            (self.was_working, self.begun, self.head_by) = (true, begun, None);
        } else if self.was_working || begun != self.begun {
            (self.was_working, self.begun, self.is_head_begun) = (false, begun, false);
            self.head_by = Some(Instant::now() + self.patience.idle + self.patience.head);
        }
    }

    /// Whether the client took too long. If not, the task is woken when it will have.
    fn is_overdue(&mut self, context: &mut Context<'_>) -> bool {
        // Whoever still takes an answer may have sent the beginning of the next request meanwhile.
        let Some(deadline) = self.taken_by.or(self.head_by) else { return false };
        if Instant::now() >= deadline {
            return true;
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        // One that rings too early is left as it is: it costs one look in all that time, not one a request.
        if timer.deadline() > deadline || (timer.is_elapsed() && timer.deadline() != deadline) {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(context).is_ready() {
            if Instant::now() >= deadline {
                return true;
            }
            timer.as_mut().reset(deadline);
        }
        false
    }

    fn waits_for_the_client<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        let deadline = self.patience.begin(Instant::now());
        self.taken_by.get_or_insert(deadline);
        if self.is_overdue(context) { Poll::Ready(Err(io::ErrorKind::TimedOut.into())) } else { Poll::Pending }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.settle();
        if this.taken_by.is_some() && this.about.going_on.get() == 0 {
            // Whoever does not take the answers to the requests before asks for no more.
            this.is_holding_back = true;
            let is_overdue = this.is_overdue(context);
            return if is_overdue { Poll::Ready(Err(io::ErrorKind::TimedOut.into())) } else { Poll::Pending };
        }
        let before = into.filled().len();
        let read = match &mut this.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_read(context, into),
            Wire::Tls(stream) => Pin::new(stream).poll_read(context, into),
        };
        match read {
            Poll::Ready(read) => {
                if into.filled().len() > before && this.about.going_on.get() == 0 && !this.is_head_begun {
                    this.is_head_begun = true;
                    this.head_by = Some(Instant::now() + this.patience.head);
                }
                Poll::Ready(read)
            }
            Poll::Pending if this.is_overdue(context) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let written = match &mut this.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Wire::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        };
        match written {
            Poll::Ready(Ok(count)) => {
                this.taken_by =
                    this.taken_by.map(|deadline| this.patience.extend(deadline, count, Instant::now()));
                Poll::Ready(Ok(count))
            }
            Poll::Ready(error) => Poll::Ready(error),
            Poll::Pending => this.waits_for_the_client(context),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let flushed = match &mut this.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_flush(context),
            Wire::Tls(stream) => Pin::new(stream).poll_flush(context),
        };
        match flushed {
            // Everything that there is was taken.
            Poll::Ready(Ok(())) => {
                if this.taken_by.take().is_some() && this.head_by.is_some() {
                    this.head_by = Some(Instant::now() + this.patience.head);
                }
                if std::mem::take(&mut this.is_holding_back) {
                    context.waker().wake_by_ref();
                }
                // The last that the server does before it waits.
                this.settle();
                Poll::Ready(if this.is_overdue(context) { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) })
            }
            Poll::Ready(error) => Poll::Ready(error),
            Poll::Pending => this.waits_for_the_client(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let shut = match &mut this.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Wire::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        };
        if shut.is_pending() { this.waits_for_the_client(context) } else { shut }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        head: Duration::from_secs(10),
        idle: Duration::from_secs(60),
        stall: Duration::from_secs(30),
        least_bytes_per_second: 1_000,
    };

    #[test]
    fn whoever_moves_drops_is_given_up_as_soon_as_whoever_moves_nothing() {
        let begun = Instant::now();
        let at = |second: u64| begun + Duration::from_secs(second);
        // A byte a second: hardly anything is earned.
        let deadline =
            (1..30).fold(PATIENCE.begin(begun), |deadline, second| PATIENCE.extend(deadline, 1, at(second)));
        assert!(deadline - begun < Duration::from_secs(31), "{:?}", deadline - begun);
        // Whoever was fast for long has no more time than anybody else.
        assert_eq!(PATIENCE.extend(deadline, usize::MAX, at(30)), at(60));
        // As fast as the least is for ever.
        let mut deadline = PATIENCE.begin(begun);
        for second in 1..1_000 {
            assert!(deadline >= at(second));
            deadline = PATIENCE.extend(deadline, 1_000, at(second));
        }
    }
}
