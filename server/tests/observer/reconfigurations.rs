//! The leader tells its observer of a change of the members.

use ringkeeper_engine::client::CreateMode;
use ringkeeper_engine::wire::event::EventType;

use crate::ensemble::{Ensemble, Met, PATIENCE};
use crate::history::{create, set};

const CONFIG: &str = "/zookeeper/config";

/// INFORMANDACTIVATE: clients read the new members, and are told of them; what comes behind it is
/// applied; and the next leader is looked for among the new voters only.
#[test]
fn change_of_the_members_is_seen_by_clients_and_counts_for_the_next_search() {
    let ensemble = Ensemble::of_server_4();
    ensemble.lock().history.write(create("/a", b"0"));
    let member = ensemble.start(&[("ringkeeper.leaderlessMs", "60000")]);
    ensemble.lead(2);
    let mut client = member.connect();
    let (before, stat) = client.get_watch(CONFIG).unwrap();
    let before = String::from_utf8(before.expect("it has data")).unwrap();
    assert!(before.contains("server.1=") && before.ends_with("version=0"), "{before}");
    let members: String = before
        .lines()
        .filter(|line| line.starts_with("server.") && !line.starts_with("server.1="))
        .map(|line| format!("{line}\n"))
        .collect();
    let zxid = {
        let mut state = ensemble.lock();
        let zxid = state.history.reconfigure(&members);
        state.inform_and_activate(2);
        zxid
    };
    let event = client.wait_event(PATIENCE).unwrap().expect("the change is seen");
    assert_eq!((event.kind, &*event.path), (EventType::NodeDataChanged, CONFIG));
    let (data, changed) = client.get(CONFIG).unwrap();
    let text = format!("{members}version={:x}", zxid.0);
    assert_eq!(data.as_deref(), Some(text.as_bytes()));
    assert!(changed.mzxid > stat.mzxid, "{changed:?}");
    member.wait_line("the members of the ensemble are now servers 2, 3, 4", 1);

    ensemble.write(set("/a", b"1"));
    client.create_mode("/b", b"", CreateMode::Persistent).unwrap();
    assert_eq!(client.get("/a").unwrap().0.as_deref(), Some(&b"1"[..]));
    ensemble.lose_leader();
    ensemble.wait_gone();
    ensemble.forget();
    let dialled = |ensemble: &Ensemble, voter: u8| {
        ensemble.count(|met| matches!(met, Met::Dialled(dialled, _) if *dialled == voter))
    };
    let before = [1, 3].map(|voter| dialled(&ensemble, voter));
    ensemble.wait(|met| matches!(met, Met::Dialled(3, _)).then_some(()));
    ensemble.lead_next_epoch(3);
    assert_eq!(client.set("/a", b"2").unwrap().version, 2);
    member.wait_line("synchronized with server 3 by DIFF", 1);
    assert!(dialled(&ensemble, 3) > before[1]);
    assert_eq!(dialled(&ensemble, 1), before[0], "it is no member any more");
}
