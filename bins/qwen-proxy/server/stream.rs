//! The stream of one connection: TCP or a Unix socket, watched while it is served.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream, tcp, unix};

use super::connections::Connection;

#[derive(Debug)]
enum Reader {
    Tcp(tcp::OwnedReadHalf),
    Socket(unix::OwnedReadHalf),
}

impl Reader {
    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(half) => half.as_ref().poll_read_ready(context),
            Self::Socket(half) => half.as_ref().poll_read_ready(context),
        }
    }

    fn try_read(&self, buffer: &mut ReadBuf<'_>) -> io::Result<usize> {
        match self {
            Self::Tcp(half) => half.try_read_buf(buffer),
            Self::Socket(half) => half.try_read_buf(buffer),
        }
    }
}

#[derive(Debug)]
enum Writer {
    Tcp(tcp::OwnedWriteHalf),
    Socket(unix::OwnedWriteHalf),
}

/// The stream.
#[derive(Debug)]
pub(super) struct Stream {
    reader: Arc<Reader>,
    writer: Writer,
    connection: Arc<Connection>,
}

impl Stream {
    pub(super) fn tcp(stream: TcpStream, connection: &Arc<Connection>) -> Self {
        // Small frames go out at once. Where that cannot be set the stream is slower, and whole.
        let _ = stream.set_nodelay(true);
        let (reader, writer) = stream.into_split();
        Self {
            reader: Arc::new(Reader::Tcp(reader)),
            writer: Writer::Tcp(writer),
            connection: Arc::clone(connection),
        }
    }

    pub(super) fn socket(stream: UnixStream, connection: &Arc<Connection>) -> Self {
        let (reader, writer) = stream.into_split();
        Self {
            reader: Arc::new(Reader::Socket(reader)),
            writer: Writer::Socket(writer),
            connection: Arc::clone(connection),
        }
    }

    /// Returns what tells whether the client is there still.
    pub(super) fn watch(&self) -> Watch {
        Watch(Arc::clone(&self.reader))
    }
}

/// Tells whether the client of a stream is there still, even while bytes of it wait that nobody reads.
#[derive(Clone, Debug)]
pub(super) struct Watch(Arc<Reader>);

impl Watch {
    /// True once the client has closed its end. Only what the kernel has reported already is known.
    pub(super) fn is_gone(&self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        let polled = match &*self.0 {
            Reader::Tcp(half) => pin!(half.ready(Interest::READABLE)).poll(&mut context),
            Reader::Socket(half) => pin!(half.ready(Interest::READABLE)).poll(&mut context),
        };
        matches!(polled, Poll::Ready(Ok(ready)) if ready.is_read_closed())
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.reader.poll_ready(context))?;
            let before = buffer.filled().len();
            match self.reader.try_read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(0) => return Poll::Ready(Ok(())),
                Ok(_) => {
                    self.connection.received(&buffer.filled()[before..]);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.writer {
            Writer::Tcp(half) => Pin::new(half).poll_write(context, bytes),
            Writer::Socket(half) => Pin::new(half).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.writer {
            Writer::Tcp(half) => Pin::new(half).poll_write_vectored(context, slices),
            Writer::Socket(half) => Pin::new(half).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.writer {
            Writer::Tcp(half) => Pin::new(half).poll_shutdown(context),
            Writer::Socket(half) => Pin::new(half).poll_shutdown(context),
        }
    }
}
