import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.api.transaction.CuratorOp;
import org.apache.curator.framework.api.transaction.CuratorTransactionResult;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.CuratorCacheListener;
import org.apache.curator.framework.recipes.cache.PathChildrenCache;
import org.apache.curator.framework.recipes.cache.TreeCache;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.recipes.nodes.PersistentTtlNode;
import org.apache.curator.framework.recipes.watch.PersistentWatcher;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.utils.ZKPaths;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.data.Stat;

/** Builders, transactions, kept nodes, caches, watchers, and the loss of sessions. */
final class Nodes extends Checks {
    Nodes(String address) {
        super(address);
    }

    @Override
    void runAll() throws Exception {
        check("builders", this::builders);
        check("transaction", this::transaction);
        check("persistent_node", this::persistentNode);
        check("persistent_ttl_node", this::persistentTtlNode);
        check("containers", this::containers);
        check("group_member", this::groupMember);
        check("curator_cache", this::curatorCache);
        check("path_children_cache", this::pathChildrenCache);
        check("tree_cache", this::treeCache);
        check("persistent_watcher", this::persistentWatcher);
        check("session_loss", this::sessionLoss);
        check("restart", this::restart);
    }

    private void builders() throws Exception {
        Stat stat = new Stat();
        String deep = ROOT + "/a/b/c";
        zk.create().storingStatIn(stat).creatingParentsIfNeeded().forPath(deep, "1".getBytes());
        expect(stat.getVersion() == 0 && stat.getDataLength() == 1, "stat of the create");
        Stat set = zk.setData().withVersion(0).forPath(deep, "22".getBytes());
        expect(set.getVersion() == 1 && set.getMzxid() > stat.getMzxid(), "stat of the set");
        try {
            zk.setData().withVersion(0).forPath(deep, new byte[0]);
            expect(false, "an old version is refused");
        } catch (KeeperException.BadVersionException expected) {
            // As it should be.
        }
        String safe = zk.create().withProtection().withMode(CreateMode.EPHEMERAL_SEQUENTIAL)
                .forPath(ROOT + "/p-");
        expect(safe.contains("_c_") && safe.endsWith("p-0000000001"), safe);
        zk.create().orSetData().forPath(deep, "3".getBytes());
        expect(text(zk.getData().storingStatIn(stat).forPath(deep)).equals("3"), "or set data");
        expect(stat.getVersion() == 2, "version after or-set-data");
        zk.create().forPath(ROOT + "/i", "3".getBytes());
        zk.create().idempotent().forPath(ROOT + "/i", "3".getBytes());
        zk.sync().forPath(ROOT);
        expect(zk.getACL().forPath(ROOT).equals(ZooDefs.Ids.OPEN_ACL_UNSAFE), "open ACL");
        CompletableFuture<Integer> code = new CompletableFuture<>();
        zk.create().inBackground((client, event) -> code.complete(event.getResultCode()))
                .forPath(ROOT + "/none/x");
        expect(code.get(WAIT_S, TimeUnit.SECONDS) == KeeperException.Code.NONODE.intValue(),
                "background error");
    }

    private void transaction() throws Exception {
        CuratorOp create = zk.transactionOp().create().forPath(ROOT + "/t", "1".getBytes());
        CuratorOp set = zk.transactionOp().setData().forPath(ROOT + "/t", "2".getBytes());
        CuratorOp verify = zk.transactionOp().check().withVersion(1).forPath(ROOT + "/t");
        CuratorOp sequential = zk.transactionOp().create()
                .withMode(CreateMode.PERSISTENT_SEQUENTIAL).forPath(ROOT + "/t/s-");
        List<CuratorTransactionResult> results =
                zk.transaction().forOperations(create, set, verify, sequential);
        expect(results.get(1).getResultStat().getVersion() == 1, "stat in a transaction");
        expect(results.get(3).getResultPath().equals(ROOT + "/t/s-0000000000"), "its name");
        CuratorOp second = zk.transactionOp().create().forPath(ROOT + "/u");
        CuratorOp wrong = zk.transactionOp().delete().withVersion(9).forPath(ROOT + "/t");
        try {
            zk.transaction().forOperations(second, wrong);
            expect(false, "the transaction fails");
        } catch (KeeperException.BadVersionException failure) {
            expect(failure.getResults().size() == 2, "results of the failed transaction");
        }
        expect(zk.checkExists().forPath(ROOT + "/u") == null, "nothing of it was done");
    }

    private void persistentNode() throws Exception {
        CuratorFramework owner = connect();
        PersistentNode node = new PersistentNode(
                owner, CreateMode.EPHEMERAL, false, ROOT + "/here", "me".getBytes());
        node.start();
        expect(node.waitForInitialCreate(WAIT_S, TimeUnit.SECONDS), "created");
        zk.delete().forPath(ROOT + "/here");
        eventually("made again", () -> zk.checkExists().forPath(ROOT + "/here") != null);
        long before = zk.checkExists().forPath(ROOT + "/here").getEphemeralOwner();
        endSession(owner);
        eventually("made again by the next session", () -> {
            Stat stat = zk.checkExists().forPath(ROOT + "/here");
            return stat != null && stat.getEphemeralOwner() != before;
        });
        node.close();
        eventually("gone", () -> zk.checkExists().forPath(ROOT + "/here") == null);
    }

    private void persistentTtlNode() throws Exception {
        PersistentTtlNode node =
                new PersistentTtlNode(zk, ROOT + "/ttl", 60000, "me".getBytes());
        node.start();
        expect(node.waitForInitialCreate(WAIT_S, TimeUnit.SECONDS), "created");
        expect(text(zk.getData().forPath(ROOT + "/ttl")).equals("me"), "its data");
        eventually("touched", () -> zk.checkExists().forPath(ROOT + "/ttl/_touch") != null
                || zk.checkExists().forPath(ROOT + "/ttl") != null);
        node.close();
        zk.create().withTtl(60000).withMode(CreateMode.PERSISTENT_WITH_TTL)
                .forPath(ROOT + "/ttl2");
        expect(zk.checkExists().forPath(ROOT + "/ttl2").getEphemeralOwner() == 0, "no owner");
    }

    private void containers() throws Exception {
        zk.create().creatingParentContainersIfNeeded().forPath(ROOT + "/box/child");
        expect(zk.checkExists().forPath(ROOT + "/box").getEphemeralOwner() == 0, "no owner");
        zk.createContainers(ROOT + "/more/boxes");
        expect(zk.checkExists().forPath(ROOT + "/more/boxes") != null, "made");
    }

    private void groupMember() throws Exception {
        GroupMember first = new GroupMember(zk, ROOT + "/group", "a", "1".getBytes());
        GroupMember second = new GroupMember(connect(), ROOT + "/group", "b", "2".getBytes());
        first.start();
        second.start();
        eventually("both seen", () -> first.getCurrentMembers().size() == 2
                && second.getCurrentMembers().size() == 2);
        second.setThisData("3".getBytes());
        eventually("data seen", () -> text(first.getCurrentMembers().get("b")).equals("3"));
        second.close();
        eventually("leaving seen", () -> first.getCurrentMembers().size() == 1);
        first.close();
    }

    private void curatorCache() throws Exception {
        List<String> events = new CopyOnWriteArrayList<>();
        zk.create().creatingParentsIfNeeded().forPath(ROOT + "/cache/old", "0".getBytes());
        CuratorCache cache = CuratorCache.build(zk, ROOT + "/cache");
        CountDownLatch initialized = new CountDownLatch(1);
        cache.listenable().addListener(CuratorCacheListener.builder()
                .forInitialized(initialized::countDown)
                .forCreates(node -> events.add("+" + ZKPaths.getNodeFromPath(node.getPath())))
                .forChanges((old, node) -> events.add("=" + text(node.getData())))
                .forDeletes(node -> events.add("-" + ZKPaths.getNodeFromPath(node.getPath())))
                .build());
        cache.start();
        expect(initialized.await(WAIT_S, TimeUnit.SECONDS), "initialized");
        CuratorFramework other = connect();
        other.create().creatingParentsIfNeeded().forPath(ROOT + "/cache/new/deep", new byte[0]);
        other.setData().forPath(ROOT + "/cache/old", "9".getBytes());
        eventually("the change", () -> events.contains("=9") && events.contains("+deep"));
        other.delete().deletingChildrenIfNeeded().forPath(ROOT + "/cache/new");
        eventually("the deletes", () -> events.contains("-new") && events.contains("-deep"));
        expect(cache.size() == 2, "two nodes are left: " + cache.size());
        expect(events.containsAll(Arrays.asList("+cache", "+old", "+new")), "creates: " + events);
        cache.close();
    }

    private void pathChildrenCache() throws Exception {
        List<String> events = new CopyOnWriteArrayList<>();
        PathChildrenCache cache = new PathChildrenCache(zk, ROOT + "/children", true);
        cache.getListenable().addListener((client, event) -> events.add(event.getType().name()));
        cache.start(PathChildrenCache.StartMode.POST_INITIALIZED_EVENT);
        CuratorFramework other = connect();
        eventually("initialized", () -> events.contains("INITIALIZED"));
        other.create().forPath(ROOT + "/children/a", "1".getBytes());
        eventually("added", () -> events.contains("CHILD_ADDED"));
        other.setData().forPath(ROOT + "/children/a", "2".getBytes());
        eventually("updated", () -> events.contains("CHILD_UPDATED"));
        expect(text(cache.getCurrentData(ROOT + "/children/a").getData()).equals("2"), "cached");
        other.delete().forPath(ROOT + "/children/a");
        eventually("removed", () -> events.contains("CHILD_REMOVED"));
        cache.close();
    }

    private void treeCache() throws Exception {
        TreeCache cache = TreeCache.newBuilder(zk, ROOT + "/tree").build();
        cache.start();
        CuratorFramework other = connect();
        String leaf = ROOT + "/tree/a/b/c";
        other.create().creatingParentsIfNeeded().forPath(leaf, "1".getBytes());
        eventually("the leaf", () -> cache.getCurrentData(leaf) != null);
        other.setData().forPath(leaf, "2".getBytes());
        eventually("its data", () -> text(cache.getCurrentData(leaf).getData()).equals("2"));
        other.delete().deletingChildrenIfNeeded().forPath(ROOT + "/tree/a");
        eventually("gone", () -> cache.getCurrentData(ROOT + "/tree/a") == null);
        cache.close();
    }

    private void persistentWatcher() throws Exception {
        List<String> events = new CopyOnWriteArrayList<>();
        PersistentWatcher watcher = new PersistentWatcher(zk, ROOT, true);
        watcher.getListenable().addListener(event -> {
            if (event.getPath() != null) {
                events.add(event.getType() + " " + event.getPath().substring(ROOT.length()));
            }
        });
        CountDownLatch set = new CountDownLatch(1);
        watcher.getResetListenable().addListener(set::countDown);
        watcher.start();
        expect(set.await(WAIT_S, TimeUnit.SECONDS), "the watch is set");
        CuratorFramework other = connect();
        other.create().creatingParentsIfNeeded().forPath(ROOT + "/a/b");
        other.setData().forPath(ROOT + "/a/b", new byte[1]);
        other.delete().forPath(ROOT + "/a/b");
        List<String> wanted = Arrays.asList(
                "NodeCreated /a", "NodeCreated /a/b", "NodeDataChanged /a/b", "NodeDeleted /a/b");
        eventually("all events: " + events, () -> events.size() >= wanted.size());
        expect(events.equals(wanted), "events: " + events);
        watcher.close();
    }

    private void sessionLoss() throws Exception {
        CuratorFramework client = connect();
        List<ConnectionState> states = new CopyOnWriteArrayList<>();
        client.getConnectionStateListenable().addListener((self, state) -> states.add(state));
        client.create().withMode(CreateMode.EPHEMERAL).forPath(ROOT + "/e");
        long session = client.getZookeeperClient().getZooKeeper().getSessionId();
        endSession(client);
        eventually("lost", () -> states.contains(ConnectionState.LOST));
        eventually("back", () -> states.contains(ConnectionState.RECONNECTED));
        expect(client.getZookeeperClient().getZooKeeper().getSessionId() != session, "a new one");
        expect(zk.checkExists().forPath(ROOT + "/e") == null, "the ephemeral is gone");
    }

    /** The session, its ephemerals, locks and caches outlive the server. */
    private void restart() throws Exception {
        CuratorFramework client = connect();
        InterProcessMutex mutex = new InterProcessMutex(client, ROOT + "/mutex");
        mutex.acquire();
        client.create().withMode(CreateMode.EPHEMERAL).forPath(ROOT + "/e", "1".getBytes());
        CuratorCache cache = CuratorCache.build(client, ROOT);
        cache.start();
        eventually("cached", () -> cache.get(ROOT + "/e").isPresent());
        long session = client.getZookeeperClient().getZooKeeper().getSessionId();
        System.out.println("@restart");
        String answer = new BufferedReader(new InputStreamReader(System.in)).readLine();
        if (!"done".equals(answer)) {
            skipped++;
            System.out.println("skip  restart: the server is not ours to stop");
            cache.close();
            return;
        }
        expect(client.checkExists().forPath(ROOT + "/e").getEphemeralOwner() == session, "owner");
        expect(client.getZookeeperClient().getZooKeeper().getSessionId() == session, "session");
        expect(mutex.isOwnedByCurrentThread(), "still locked");
        InterProcessMutex rival = new InterProcessMutex(connect(), ROOT + "/mutex");
        expect(!onThread(() -> rival.acquire(200, TimeUnit.MILLISECONDS)), "for others too");
        zk.setData().forPath(ROOT + "/e", "2".getBytes());
        eventually("the cache goes on",
                () -> text(cache.get(ROOT + "/e").get().getData()).equals("2"));
        mutex.release();
        cache.close();
    }
}
