import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.barriers.DistributedBarrier;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.framework.recipes.locks.InterProcessMultiLock;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.framework.recipes.queue.DistributedQueue;
import org.apache.curator.framework.recipes.queue.QueueBuilder;
import org.apache.curator.framework.recipes.queue.QueueConsumer;
import org.apache.curator.framework.recipes.queue.QueueSerializer;
import org.apache.curator.framework.recipes.queue.SimpleDistributedQueue;
import org.apache.curator.framework.recipes.shared.SharedCount;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryOneTime;
import org.apache.curator.retry.RetryNTimes;

/** Leaders, locks, barriers, queues and counters. */
final class Coordination extends Checks {
    Coordination(String address) {
        super(address);
    }

    @Override
    void runAll() throws Exception {
        check("leader_latch", this::leaderLatch);
        check("leader_selector", this::leaderSelector);
        check("mutex", this::mutex);
        check("read_write_lock", this::readWriteLock);
        check("semaphore", this::semaphore);
        check("multi_lock", this::multiLock);
        check("barrier", this::barrier);
        check("double_barrier", this::doubleBarrier);
        check("distributed_queue", this::distributedQueue);
        check("simple_queue", this::simpleQueue);
        check("shared_count", this::sharedCount);
        check("atomic_long", this::atomicLong);
    }

    private void leaderLatch() throws Exception {
        List<LeaderLatch> latches = new ArrayList<>();
        for (String id : Arrays.asList("a", "b", "c")) {
            LeaderLatch latch = new LeaderLatch(connect(), ROOT + "/latch", id);
            latch.start();
            latches.add(latch);
        }
        Set<String> leaders = new TreeSet<>();
        while (!latches.isEmpty()) {
            eventually("one leads", () -> latches.stream().anyMatch(LeaderLatch::hasLeadership));
            List<LeaderLatch> leading = new ArrayList<>(latches);
            leading.removeIf(latch -> !latch.hasLeadership());
            expect(leading.size() == 1, "only one leads");
            leaders.add(leading.get(0).getLeader().getId());
            leading.get(0).close();
            latches.removeAll(leading);
        }
        expect(leaders.size() == 3, "each led once: " + leaders);
    }

    private void leaderSelector() throws Exception {
        AtomicInteger leading = new AtomicInteger();
        BlockingQueue<String> turns = new LinkedBlockingQueue<>();
        List<LeaderSelector> selectors = new ArrayList<>();
        for (String id : Arrays.asList("a", "b")) {
            LeaderSelectorListenerAdapter listener = new LeaderSelectorListenerAdapter() {
                @Override
                public void takeLeadership(CuratorFramework client) throws Exception {
                    expect(leading.incrementAndGet() == 1, "only one leads");
                    turns.add(id);
                    Thread.sleep(20);
                    leading.decrementAndGet();
                }
            };
            LeaderSelector selector = new LeaderSelector(connect(), ROOT + "/selector", listener);
            selector.autoRequeue();
            selector.setId(id);
            selector.start();
            selectors.add(selector);
        }
        Set<String> seen = new TreeSet<>();
        // The second one may be slow to come, and who leads alone leads again.
        for (int turn = 0; turn < 8 || seen.size() < 2; turn++) {
            expect(turn < 500, "both lead: " + seen);
            String id = turns.poll(WAIT_S, TimeUnit.SECONDS);
            expect(id != null, "the next turn comes");
            seen.add(id);
        }
        selectors.forEach(LeaderSelector::close);
    }

    private void mutex() throws Exception {
        AtomicInteger holders = new AtomicInteger();
        AtomicInteger rounds = new AtomicInteger();
        List<CompletableFuture<Void>> workers = new ArrayList<>();
        for (int worker = 0; worker < 4; worker++) {
            InterProcessMutex mutex = new InterProcessMutex(connect(), ROOT + "/mutex");
            workers.add(run(() -> {
                for (int round = 0; round < 10; round++) {
                    expect(mutex.acquire(WAIT_S, TimeUnit.SECONDS), "acquired");
                    expect(holders.incrementAndGet() == 1, "held by one only");
                    mutex.acquire();
                    rounds.incrementAndGet();
                    mutex.release();
                    holders.decrementAndGet();
                    mutex.release();
                }
            }));
        }
        finish(workers);
        expect(rounds.get() == 40, "all rounds done");
    }

    private void readWriteLock() throws Exception {
        InterProcessReadWriteLock first = new InterProcessReadWriteLock(zk, ROOT + "/rw");
        InterProcessReadWriteLock second = new InterProcessReadWriteLock(connect(), ROOT + "/rw");
        first.readLock().acquire();
        expect(second.readLock().acquire(5, TimeUnit.SECONDS), "readers share");
        expect(!onThread(() -> second.writeLock().acquire(200, TimeUnit.MILLISECONDS)),
                "no writer");
        second.readLock().release();
        first.readLock().release();
        first.writeLock().acquire();
        first.readLock().acquire();
        expect(!second.readLock().acquire(200, TimeUnit.MILLISECONDS), "no reader");
        first.writeLock().release();
        expect(second.readLock().acquire(5, TimeUnit.SECONDS), "downgraded");
    }

    private void semaphore() throws Exception {
        InterProcessSemaphoreV2 first = new InterProcessSemaphoreV2(zk, ROOT + "/sem", 3);
        InterProcessSemaphoreV2 second = new InterProcessSemaphoreV2(connect(), ROOT + "/sem", 3);
        Lease lease = first.acquire(5, TimeUnit.SECONDS);
        expect(lease != null && second.acquire(2, 5, TimeUnit.SECONDS).size() == 2, "three held");
        expect(second.acquire(200, TimeUnit.MILLISECONDS) == null, "a fourth is refused");
        first.returnLease(lease);
        expect(second.acquire(5, TimeUnit.SECONDS) != null, "the returned one is free");
        expect(second.getParticipantNodes().size() == 3, "three nodes");
    }

    private void multiLock() throws Exception {
        List<String> paths = Arrays.asList(ROOT + "/m1", ROOT + "/m2");
        InterProcessMultiLock both = new InterProcessMultiLock(zk, paths);
        InterProcessMutex one = new InterProcessMutex(connect(), ROOT + "/m2");
        both.acquire();
        expect(!one.acquire(200, TimeUnit.MILLISECONDS), "held by the multi lock");
        both.release();
        expect(one.acquire(5, TimeUnit.SECONDS), "free again");
    }

    private void barrier() throws Exception {
        DistributedBarrier barrier = new DistributedBarrier(zk, ROOT + "/barrier");
        barrier.setBarrier();
        DistributedBarrier other = new DistributedBarrier(connect(), ROOT + "/barrier");
        expect(!other.waitOnBarrier(200, TimeUnit.MILLISECONDS), "held");
        CompletableFuture<Void> waiting =
                run(() -> expect(other.waitOnBarrier(WAIT_S, TimeUnit.SECONDS), "opened"));
        barrier.removeBarrier();
        waiting.get(WAIT_S, TimeUnit.SECONDS);
    }

    private void doubleBarrier() throws Exception {
        AtomicInteger inside = new AtomicInteger();
        List<CompletableFuture<Void>> workers = new ArrayList<>();
        for (int worker = 0; worker < 3; worker++) {
            DistributedDoubleBarrier barrier =
                    new DistributedDoubleBarrier(connect(), ROOT + "/double", 3);
            workers.add(run(() -> {
                expect(barrier.enter(WAIT_S, TimeUnit.SECONDS), "entered");
                inside.incrementAndGet();
                expect(barrier.leave(WAIT_S, TimeUnit.SECONDS), "left");
                expect(inside.get() == 3, "nobody left before all were in");
            }));
        }
        finish(workers);
    }

    private void distributedQueue() throws Exception {
        BlockingQueue<String> taken = new LinkedBlockingQueue<>();
        QueueConsumer<String> consumer = new QueueConsumer<>() {
            @Override
            public void consumeMessage(String message) {
                taken.add(message);
            }

            @Override
            public void stateChanged(CuratorFramework client, ConnectionState state) {}
        };
        QueueSerializer<String> serializer = new QueueSerializer<>() {
            @Override
            public byte[] serialize(String item) {
                return item.getBytes();
            }

            @Override
            public String deserialize(byte[] bytes) {
                return new String(bytes);
            }
        };
        String path = ROOT + "/queue";
        DistributedQueue<String> in = QueueBuilder.builder(zk, null, serializer, path)
                .buildQueue();
        DistributedQueue<String> out = QueueBuilder.builder(connect(), consumer, serializer, path)
                .lockPath(ROOT + "/queue-locks").buildQueue();
        in.start();
        out.start();
        for (int number = 0; number < 20; number++) {
            in.put("item" + number);
        }
        for (int number = 0; number < 20; number++) {
            String item = taken.poll(WAIT_S, TimeUnit.SECONDS);
            expect(("item" + number).equals(item), "in order: " + item);
        }
        in.close();
        out.close();
    }

    private void simpleQueue() throws Exception {
        SimpleDistributedQueue in = new SimpleDistributedQueue(zk, ROOT + "/simple");
        SimpleDistributedQueue out = new SimpleDistributedQueue(connect(), ROOT + "/simple");
        CompletableFuture<Void> taking =
                run(() -> expect(text(out.poll(WAIT_S, TimeUnit.SECONDS)).equals("a"), "first"));
        in.offer("a".getBytes());
        taking.get(WAIT_S, TimeUnit.SECONDS);
        in.offer("b".getBytes());
        expect(text(out.peek()).equals("b") && text(out.take()).equals("b"), "second");
        expect(out.poll() == null, "then empty");
    }

    private void sharedCount() throws Exception {
        SharedCount first = new SharedCount(zk, ROOT + "/count", 5);
        SharedCount second = new SharedCount(connect(), ROOT + "/count", 0);
        first.start();
        second.start();
        expect(second.getCount() == 5, "the first one's value");
        expect(first.trySetCount(first.getVersionedValue(), 6), "set");
        eventually("the other sees it", () -> second.getCount() == 6);
        second.setCount(9);
        eventually("and back", () -> first.getCount() == 9);
        first.close();
        second.close();
    }

    private void atomicLong() throws Exception {
        List<CompletableFuture<Void>> workers = new ArrayList<>();
        for (int worker = 0; worker < 3; worker++) {
            DistributedAtomicLong number = new DistributedAtomicLong(
                    connect(), ROOT + "/long", new RetryNTimes(1000, 1));
            workers.add(run(() -> {
                for (int step = 0; step < 20; step++) {
                    expect(number.increment().succeeded(), "incremented");
                }
            }));
        }
        finish(workers);
        DistributedAtomicLong number =
                new DistributedAtomicLong(zk, ROOT + "/long", new RetryOneTime(1));
        expect(number.get().postValue() == 60, "all were counted: " + number.get().postValue());
    }
}
