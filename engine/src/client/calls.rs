//! Typed calls of the blocking client: one method per operation that tests and tools use.

use super::core::Event;
use super::reply::MultiResult;
use super::request::{Create, CreateMode, Request, WatchMode, WatcherType, Watches};
use super::tcp::{Answer, Client, Error};
use crate::sasl::ClientExchange;
use crate::wire::{Acl, Id, Stat};

/// One result of a multi, owned.
pub type Results = Vec<MultiResult<'static>>;

impl Client {
    /// Creates a persistent node with the open ACL; returns its path.
    pub fn create(&mut self, path: &str, data: &[u8]) -> Result<String, Error> {
        self.create_mode(path, data, CreateMode::Persistent)
    }

    /// Creates a node of any kind with the open ACL; returns its path.
    pub fn create_mode(
        &mut self,
        path: &str,
        data: &[u8],
        mode: CreateMode,
    ) -> Result<String, Error> {
        let acl = &[Acl::open()];
        let answer = self.done(&Request::Create(Create { path, data: Some(data), acl, mode }))?;
        Ok(answer.body().path()?.into_owned())
    }

    /// Creates a node of any kind with the open ACL; returns its path and stat.
    pub fn create2(
        &mut self,
        path: &str,
        data: &[u8],
        mode: CreateMode,
    ) -> Result<(String, Stat), Error> {
        let acl = &[Acl::open()];
        let answer = self.done(&Request::Create2(Create { path, data: Some(data), acl, mode }))?;
        let (path, stat) = answer.body().path_stat()?;
        Ok((path.into_owned(), stat))
    }

    /// Data and stat.
    pub fn get(&mut self, path: &str) -> Result<(Option<Vec<u8>>, Stat), Error> {
        data_stat(&self.done(&Request::GetData { path, watch: false })?)
    }

    /// Data and stat, leaving a one-shot watch.
    pub fn get_watch(&mut self, path: &str) -> Result<(Option<Vec<u8>>, Stat), Error> {
        data_stat(&self.done(&Request::GetData { path, watch: true })?)
    }

    /// Replaces the data, whatever its version.
    pub fn set(&mut self, path: &str, data: &[u8]) -> Result<Stat, Error> {
        self.set_version(path, data, -1)
    }

    /// Replaces the data if its version is the expected one.
    pub fn set_version(&mut self, path: &str, data: &[u8], version: i32) -> Result<Stat, Error> {
        let answer = self.done(&Request::SetData { path, data: Some(data), version })?;
        Ok(answer.body().stat()?)
    }

    /// Deletes a node, whatever its version.
    pub fn delete(&mut self, path: &str) -> Result<(), Error> {
        self.delete_version(path, -1)
    }

    /// Deletes a node if its version is the expected one.
    pub fn delete_version(&mut self, path: &str, version: i32) -> Result<(), Error> {
        self.done(&Request::Delete { path, version }).map(drop)
    }

    /// The stat of a node, `None` if there is no such node.
    pub fn exists(&mut self, path: &str) -> Result<Option<Stat>, Error> {
        stat_if_there(self.call(&Request::Exists { path, watch: false })?)
    }

    /// The stat of a node, `None` if there is no such node, leaving a one-shot watch.
    pub fn exists_watch(&mut self, path: &str) -> Result<Option<Stat>, Error> {
        stat_if_there(self.call(&Request::Exists { path, watch: true })?)
    }

    /// Names of the children, sorted.
    pub fn children(&mut self, path: &str) -> Result<Vec<String>, Error> {
        Ok(self.children_stat(path)?.0)
    }

    /// Names of the children, sorted, leaving a one-shot watch.
    pub fn children_watch(&mut self, path: &str) -> Result<Vec<String>, Error> {
        let answer = self.done(&Request::GetChildren { path, watch: true })?;
        Ok(sorted(answer.body().names()?))
    }

    /// Names of the children, sorted, and the stat.
    pub fn children_stat(&mut self, path: &str) -> Result<(Vec<String>, Stat), Error> {
        let answer = self.done(&Request::GetChildren2 { path, watch: false })?;
        let (names, stat) = answer.body().names_stat()?;
        Ok((sorted(names), stat))
    }

    /// Count of all descendants.
    pub fn descendants(&mut self, path: &str) -> Result<i32, Error> {
        Ok(self.done(&Request::GetAllChildrenNumber { path })?.body().number()?)
    }

    /// Paths of this session's ephemeral nodes that begin with a string, sorted.
    pub fn ephemerals(&mut self, prefix: &str) -> Result<Vec<String>, Error> {
        Ok(sorted(self.done(&Request::GetEphemerals { prefix })?.body().names()?))
    }

    /// ACL and stat.
    pub fn acl(&mut self, path: &str) -> Result<(Vec<Acl>, Stat), Error> {
        Ok(self.done(&Request::GetAcl { path })?.body().acl_stat()?)
    }

    /// Replaces the ACL if its version is the expected one, -1 for any.
    pub fn set_acl(&mut self, path: &str, acl: &[Acl], version: i32) -> Result<Stat, Error> {
        Ok(self.done(&Request::SetAcl { path, acl, version })?.body().stat()?)
    }

    /// All of the writes or none. A multi that was refused is a list of
    /// [`MultiResult::Failed`], not an error.
    pub fn multi(&mut self, parts: &[Request<'_>]) -> Result<Results, Error> {
        results(&self.done(&Request::Multi(parts))?)
    }

    /// Several reads.
    pub fn multi_read(&mut self, parts: &[Request<'_>]) -> Result<Results, Error> {
        results(&self.done(&Request::MultiRead(parts))?)
    }

    /// Waits until the server has seen every write that was committed before.
    pub fn sync(&mut self, path: &str) -> Result<String, Error> {
        Ok(self.done(&Request::Sync { path })?.body().path()?.into_owned())
    }

    /// Adds an identity to the connection.
    pub fn auth(&mut self, scheme: &str, auth: &[u8]) -> Result<(), Error> {
        self.done(&Request::Auth { scheme, auth }).map(drop)
    }

    /// Adds the identity that an exchange proves to the server. A connection has one exchange.
    pub fn sasl(&mut self, mut exchange: ClientExchange) -> Result<(), Error> {
        let mut token = Some(Vec::new());
        while let Some(sent) = token {
            let answer = self.done(&Request::Sasl { token: Some(&sent) })?;
            token = exchange.step(answer.body().token()?)?;
        }
        Ok(())
    }

    /// The identities of the connection.
    pub fn who_am_i(&mut self) -> Result<Vec<Id>, Error> {
        Ok(self.done(&Request::WhoAmI)?.body().identities()?)
    }

    /// Leaves a watch that stays.
    pub fn add_watch(&mut self, path: &str, mode: WatchMode) -> Result<(), Error> {
        self.done(&Request::AddWatch { path, mode }).map(drop)
    }

    /// Removes watches of this connection.
    pub fn remove_watches(&mut self, path: &str, kind: WatcherType) -> Result<(), Error> {
        self.done(&Request::RemoveWatches { path, kind }).map(drop)
    }

    /// Sets all kinds of watches again after a reconnect; what has changed since fires at once.
    pub fn set_watches(&mut self, watches: &Watches<'_>) -> Result<(), Error> {
        self.done(&Request::SetWatches2(watches)).map(drop)
    }

    /// All events that were received and not taken yet, without waiting.
    pub fn take_events(&mut self) -> Vec<Event<'static>> {
        std::iter::from_fn(|| self.take_event()).collect()
    }
}

fn data_stat(answer: &Answer) -> Result<(Option<Vec<u8>>, Stat), Error> {
    let (data, stat) = answer.body().data_stat()?;
    Ok((data.map(<[u8]>::to_vec), stat))
}

fn stat_if_there(answer: Answer) -> Result<Option<Stat>, Error> {
    if answer.err == crate::Code::NoNode.to_wire() {
        return Ok(None);
    }
    Ok(Some(answer.accepted()?.body().stat()?))
}

fn sorted(names: Vec<std::borrow::Cow<'_, str>>) -> Vec<String> {
    let mut names: Vec<String> = names.into_iter().map(Into::into).collect();
    names.sort_unstable();
    names
}

fn results(answer: &Answer) -> Result<Results, Error> {
    Ok(answer.body().multi()?.into_iter().map(MultiResult::into_owned).collect())
}
