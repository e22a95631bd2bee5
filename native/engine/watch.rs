//! Owns: waiting for the end of a process: a pidfd of ours, readable once the process has ended.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use crate::engine::env::Environment;
use crate::engine::handle::{Event, Handle, MAX_SEND_PAUSE, Source};
use crate::engine::sockets::Socket;
use crate::node::uv::READABLE;
use crate::sys::errno::Result;
use crate::sys::peer;

/// One process that is waited for.
pub struct Watch {
    handle: Handle,
}

impl Watch {
    /// Reports [`Event::End`] once the process of a pidfd has ended: its number. EBADF if it is no
    /// pidfd.
    pub fn create(env: &Rc<Environment>, loading: usize, pidfd: OwnedFd) -> Result<i32> {
        peer::is_alive(pidfd.as_fd())?;
        env.enter(
            loading,
            Socket::Watch,
            |handle| Watch { handle },
            |watch| {
                watch.handle.install(pidfd);
                watch.arm()
            },
        )
    }

    fn arm(&self) -> Result<()> {
        self.handle.arm(READABLE, false)
    }
}

impl Source for Watch {
    fn handle(&self) -> &Handle {
        &self.handle
    }

    fn on_poll(&self, _part: u32, _event: Result<i32>) {
        match self.handle.with_fd(peer::is_alive) {
            Ok(true) => {}
            Ok(false) => self.handle.report(Event::End, 0),
            Err(errno) => self.handle.report(Event::Error, errno.to_js()),
        }
    }

    fn on_retry(&self) {
        self.settle();
    }

    fn settle(&self) {
        if self.arm().is_err() {
            self.handle.retry_later(MAX_SEND_PAUSE);
        }
    }

    fn close(&self) {
        self.handle.close();
    }
}
