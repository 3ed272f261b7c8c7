import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.retry.RetryNTimes;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooKeeper;

/** What the checks share: clients, waiting, and the counting of what passed. */
abstract class Checks {
    static final String ROOT = "/ringkeeper-curator";
    static final int WAIT_S = 15;

    interface Check {
        void run() throws Exception;
    }

    interface Condition {
        boolean holds() throws Exception;
    }

    final String address;
    private final List<CuratorFramework> clients = new ArrayList<>();
    final CuratorFramework zk;
    int passed;
    int skipped;

    Checks(String address) {
        // Named three times, since the client waits for the answer to its connect request for the
        // session timeout divided by the number of servers, and Apache leaves one that comes
        // while it starts without an answer.
        this.address = String.join(",", address, address, address);
        this.zk = connect();
    }

    abstract void runAll() throws Exception;

    void check(String name, Check check) throws Exception {
        if (zk.checkExists().forPath(ROOT) != null) {
            zk.delete().guaranteed().deletingChildrenIfNeeded().forPath(ROOT);
        }
        zk.create().forPath(ROOT);
        int skips = skipped;
        check.run();
        while (clients.size() > 1) {
            clients.remove(clients.size() - 1).close();
        }
        if (skipped == skips) {
            System.out.printf("ok    %s%n", name);
            passed++;
        }
    }

    CuratorFramework connect() {
        CuratorFramework client = CuratorFrameworkFactory.builder()
                .connectString(address)
                .sessionTimeoutMs(30000)
                .connectionTimeoutMs(5000)
                .retryPolicy(new RetryNTimes(100, 100))
                .build();
        client.start();
        clients.add(client);
        return client;
    }

    static void expect(boolean condition, String what) {
        if (!condition) {
            throw new AssertionError(what);
        }
    }

    static void eventually(String what, Condition condition) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(WAIT_S);
        while (!condition.holds()) {
            expect(System.nanoTime() < deadline, "never happened: " + what);
            Thread.sleep(10);
        }
    }

    static String text(byte[] data) {
        return data == null ? null : new String(data);
    }

    /** Ends the client's session behind its back: another connection takes it over and closes. */
    void endSession(CuratorFramework client) throws Exception {
        ZooKeeper victim = client.getZookeeperClient().getZooKeeper();
        CountDownLatch connected = new CountDownLatch(1);
        ZooKeeper thief = new ZooKeeper(address, 30000, event -> {
            if (event.getState() == Watcher.Event.KeeperState.SyncConnected) {
                connected.countDown();
            }
        }, victim.getSessionId(), victim.getSessionPasswd());
        expect(connected.await(WAIT_S, TimeUnit.SECONDS), "the session can be taken over");
        thief.close();
    }

    static CompletableFuture<Void> run(Check work) {
        CompletableFuture<Void> done = new CompletableFuture<>();
        new Thread(() -> {
            try {
                work.run();
                done.complete(null);
            } catch (Throwable failure) {
                done.completeExceptionally(failure);
            }
        }).start();
        return done;
    }

    static void finish(List<CompletableFuture<Void>> workers) throws Exception {
        for (CompletableFuture<Void> worker : workers) {
            worker.get(4 * WAIT_S, TimeUnit.SECONDS);
        }
    }

    /** On a thread of its own, since the locks belong to threads. */
    static boolean onThread(Condition condition) throws Exception {
        boolean[] result = new boolean[1];
        run(() -> result[0] = condition.holds()).get(WAIT_S, TimeUnit.SECONDS);
        return result[0];
    }
}
