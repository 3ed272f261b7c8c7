//! What the checks share: clients, waiting, and the counting of what passed.

use std::future::Future;
use std::io::Write;
use std::time::Duration;

use zookeeper_client::{Acls, Client, Connector, CreateMode, CreateOptions, Error, WatchedEvent};

pub const ROOT: &str = "/ringkeeper-rust";
pub const PERSISTENT: &CreateOptions<'static> =
    &CreateMode::Persistent.with_acls(Acls::anyone_all());
pub const SEQUENTIAL: &CreateOptions<'static> =
    &CreateMode::PersistentSequential.with_acls(Acls::anyone_all());
pub const EPHEMERAL: &CreateOptions<'static> = &CreateMode::Ephemeral.with_acls(Acls::anyone_all());
pub const CONTAINER: &CreateOptions<'static> = &CreateMode::Container.with_acls(Acls::anyone_all());

const SESSION: Duration = Duration::from_secs(15);
const WAIT: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(20);

pub struct Checks {
    pub address: String,
    pub zk: Client,
    pub passed: usize,
    pub skipped: usize,
}

impl Checks {
    pub async fn connect(address: &str) -> Self {
        let zk = connector().connect(address).await.expect("the server answers");
        Self { address: address.to_owned(), zk, passed: 0, skipped: 0 }
    }

    pub fn connector(&self) -> Connector {
        connector()
    }

    pub async fn client(&self) -> Client {
        connector().connect(&self.address).await.expect("the server answers")
    }

    /// Leaves nothing but an empty folder of what was there.
    pub async fn prepare(&self) {
        remove_tree(&self.zk, ROOT.to_owned()).await;
        self.zk.create(ROOT, b"root", PERSISTENT).await.unwrap();
    }

    pub fn count(&mut self, name: &str, done: bool) {
        if done {
            println!("ok    {name}");
            self.passed += 1;
        } else {
            println!("skip  {name}: the server is not ours to stop");
            self.skipped += 1;
        }
    }
}

fn connector() -> Connector {
    Client::connector().with_session_timeout(SESSION)
}

async fn remove_tree(zk: &Client, root: String) {
    let mut found = vec![root];
    let mut next = 0;
    while next < found.len() {
        // A node that may not be listed may still be deleted.
        for name in zk.list_children(&found[next]).await.unwrap_or_default() {
            found.push(format!("{}/{name}", found[next]));
        }
        next += 1;
    }
    for path in found.iter().rev() {
        match zk.delete(path, None).await {
            Ok(()) | Err(Error::NoNode) => {}
            Err(other) => panic!("delete {path}: {other}"),
        }
    }
}

pub async fn event(changed: impl Future<Output = WatchedEvent>) -> WatchedEvent {
    tokio::time::timeout(WAIT, changed).await.expect("the event comes")
}

pub async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let holds = async {
        let mut polls = tokio::time::interval(POLL);
        while !condition().await {
            polls.tick().await;
        }
    };
    if tokio::time::timeout(WAIT, holds).await.is_err() {
        panic!("never happened: {what}");
    }
}

/// Has the runner kill and start the server; false when the server is not the runner's.
pub fn restart_server() -> bool {
    println!("@restart");
    std::io::stdout().flush().expect("the runner reads");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).expect("the runner answers");
    answer.trim() == "done"
}
