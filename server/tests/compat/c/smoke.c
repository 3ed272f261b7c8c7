/* Exercises a server through libzookeeper_mt: smoke HOST:PORT. Exits non-zero at the first
 * check that fails. The line `@restart` asks the runner to kill and start the server. */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zookeeper/zookeeper.h>

#define ROOT "/ringkeeper-c"
#define WAIT_MS 10000
#define SEEN_MAX 64

#define CHECK(condition)                                                                 \
  do {                                                                                   \
    if (!(condition)) {                                                                  \
      printf("FAIL  %s:%d: %s\n", __FILE__, __LINE__, #condition);                       \
      exit(1);                                                                           \
    }                                                                                    \
  } while (0)

#define OK(call)                                                                         \
  do {                                                                                   \
    int code = (call);                                                                   \
    if (code != ZOK) {                                                                   \
      printf("FAIL  %s:%d: %s: %s\n", __FILE__, __LINE__, #call, zerror(code));          \
      exit(1);                                                                           \
    }                                                                                    \
  } while (0)

#define IS(wanted, call)                                                                 \
  do {                                                                                   \
    int code = (call);                                                                   \
    if (code != (wanted)) {                                                              \
      printf("FAIL  %s:%d: %s: %s instead of %s\n", __FILE__, __LINE__, #call,           \
             zerror(code), #wanted);                                                     \
      exit(1);                                                                           \
    }                                                                                    \
  } while (0)

struct event {
  int type;
  char path[256];
};

/* What one watcher has been told. */
struct seen {
  pthread_mutex_t lock;
  volatile int count;
  struct event events[SEEN_MAX];
};

static const char *address;
static int passed, skipped;

static void watch(zhandle_t *zh, int type, int state, const char *path, void *context) {
  struct seen *seen = context;
  (void)zh, (void)state;
  if (!seen || type == ZOO_SESSION_EVENT) return;
  pthread_mutex_lock(&seen->lock);
  CHECK(seen->count < SEEN_MAX);
  seen->events[seen->count].type = type;
  snprintf(seen->events[seen->count].path, sizeof seen->events[0].path, "%s", path);
  seen->count++;
  pthread_mutex_unlock(&seen->lock);
}

static void await_count(struct seen *seen, int count) {
  for (int ms = 0; seen->count < count; ms++) {
    CHECK(ms < WAIT_MS);
    usleep(1000);
  }
}

static void await_state(zhandle_t *zh, int state) {
  for (int ms = 0; zoo_state(zh) != state; ms++) {
    CHECK(ms < WAIT_MS);
    usleep(1000);
  }
}

static zhandle_t *connect_as(const clientid_t *id, struct seen *seen) {
  zhandle_t *zh = zookeeper_init(address, watch, 15000, id, seen, 0);
  CHECK(zh);
  for (int ms = 0; zoo_state(zh) != ZOO_CONNECTED_STATE; ms++) {
    CHECK(ms < WAIT_MS);
    if (is_unrecoverable(zh)) return zh;
    usleep(1000);
  }
  return zh;
}

static zhandle_t *connect_new(void) { return connect_as(NULL, NULL); }

static void remove_tree(zhandle_t *zh, const char *path) {
  struct String_vector children = {0, NULL};
  /* A node that may not be listed may still be deleted. */
  if (zoo_get_children(zh, path, 0, &children) == ZNONODE) return;
  for (int i = 0; i < children.count; i++) {
    char child[512];
    snprintf(child, sizeof child, "%s/%s", path, children.data[i]);
    remove_tree(zh, child);
  }
  deallocate_String_vector(&children);
  OK(zoo_delete(zh, path, -1));
}

static int create(zhandle_t *zh, const char *path, const char *value) {
  return zoo_create(zh, path, value, (int)strlen(value), &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0);
}

static int same(const struct Stat *a, const struct Stat *b) {
  return a->czxid == b->czxid && a->mzxid == b->mzxid && a->pzxid == b->pzxid &&
         a->ctime == b->ctime && a->mtime == b->mtime && a->version == b->version &&
         a->cversion == b->cversion && a->aversion == b->aversion &&
         a->ephemeralOwner == b->ephemeralOwner && a->dataLength == b->dataLength &&
         a->numChildren == b->numChildren;
}

static void check_create_get_set_delete(zhandle_t *zh) {
  char path[256], data[16];
  int length = sizeof data;
  struct Stat stat, again;
  OK(zoo_create2(zh, ROOT "/a", "one", 3, &ZOO_OPEN_ACL_UNSAFE, 0, path, sizeof path, &stat));
  CHECK(!strcmp(path, ROOT "/a") && stat.version == 0 && stat.dataLength == 3);
  OK(zoo_get(zh, path, 0, data, &length, &again));
  CHECK(length == 3 && !memcmp(data, "one", 3) && same(&stat, &again));
  OK(zoo_set2(zh, path, "two!", 4, 0, &stat));
  CHECK(stat.version == 1 && stat.mzxid > stat.czxid && stat.dataLength == 4);
  IS(ZBADVERSION, zoo_set(zh, path, "x", 1, 0));
  IS(ZNODEEXISTS, create(zh, path, ""));
  IS(ZNONODE, create(zh, ROOT "/no/parent", ""));
  OK(create(zh, ROOT "/a/child", ""));
  IS(ZNOTEMPTY, zoo_delete(zh, path, -1));
  OK(zoo_delete(zh, ROOT "/a/child", 0));
  IS(ZBADVERSION, zoo_delete(zh, path, 0));
  OK(zoo_delete(zh, path, 1));
  IS(ZNONODE, zoo_exists(zh, path, 0, &stat));
}

static void check_null_and_empty_values(zhandle_t *zh) {
  char data[4];
  struct Stat stat;
  int length = sizeof data;
  OK(zoo_create(zh, ROOT "/null", NULL, -1, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0));
  OK(zoo_get(zh, ROOT "/null", 0, data, &length, &stat));
  CHECK(length == -1 && stat.dataLength == 0);
  length = sizeof data;
  OK(zoo_create(zh, ROOT "/empty", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0));
  OK(zoo_get(zh, ROOT "/empty", 0, data, &length, &stat));
  CHECK(length == 0 && stat.dataLength == 0);
}

static void check_children(zhandle_t *zh) {
  struct String_vector names;
  struct Stat stat;
  OK(create(zh, ROOT "/x", ""));
  OK(create(zh, ROOT "/y", ""));
  OK(zoo_get_children2(zh, ROOT, 0, &names, &stat));
  CHECK(names.count == 2 && stat.numChildren == 2 && stat.cversion == 2);
  deallocate_String_vector(&names);
}

static void check_sequence(zhandle_t *zh) {
  char path[256], wanted[256];
  for (int i = 0; i < 12; i++) {
    snprintf(wanted, sizeof wanted, ROOT "/s-%010d", i);
    OK(zoo_create(zh, ROOT "/s-", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_SEQUENCE, path, sizeof path));
    CHECK(!strcmp(path, wanted));
  }
}

static void check_ephemeral(zhandle_t *zh) {
  struct Stat stat;
  zhandle_t *other = connect_new();
  long long owner = zoo_client_id(other)->client_id;
  OK(zoo_create(other, ROOT "/e", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, NULL, 0));
  OK(zoo_exists(zh, ROOT "/e", 0, &stat));
  CHECK(stat.ephemeralOwner == owner);
  IS(ZNOCHILDRENFOREPHEMERALS, create(zh, ROOT "/e/child", ""));
  OK(zookeeper_close(other));
  IS(ZNONODE, zoo_exists(zh, ROOT "/e", 0, &stat));
}

static void check_container_and_ttl(zhandle_t *zh) {
  char path[256];
  struct Stat stat;
  OK(zoo_create2(zh, ROOT "/box", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_CONTAINER, path, sizeof path,
                 &stat));
  CHECK(stat.ephemeralOwner == 0);
  OK(zoo_create2_ttl(zh, ROOT "/ttl", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_WITH_TTL,
                     60000, path, sizeof path, &stat));
  CHECK(stat.ephemeralOwner == 0 && !strcmp(path, ROOT "/ttl"));
  OK(zoo_create_ttl(zh, ROOT "/ttl-", "", 0, &ZOO_OPEN_ACL_UNSAFE,
                    ZOO_PERSISTENT_SEQUENTIAL_WITH_TTL, 60000, path, sizeof path));
  CHECK(!strcmp(path, ROOT "/ttl-0000000002"));
  IS(ZBADARGUMENTS, zoo_create_ttl(zh, ROOT "/bad", "", 0, &ZOO_OPEN_ACL_UNSAFE,
                                   ZOO_PERSISTENT_WITH_TTL, -7, path, sizeof path));
}

static void check_watches(zhandle_t *zh) {
  static struct seen data = {.lock = PTHREAD_MUTEX_INITIALIZER};
  static struct seen children = {.lock = PTHREAD_MUTEX_INITIALIZER};
  char buffer[16];
  int length = sizeof buffer;
  struct String_vector names;
  struct Stat stat;
  zhandle_t *other = connect_new();
  IS(ZNONODE, zoo_wexists(zh, ROOT "/w", watch, &data, &stat));
  OK(zoo_wget_children(zh, ROOT, watch, &children, &names));
  deallocate_String_vector(&names);
  OK(create(other, ROOT "/w", "1"));
  await_count(&data, 1);
  await_count(&children, 1);
  CHECK(data.events[0].type == ZOO_CREATED_EVENT && !strcmp(data.events[0].path, ROOT "/w"));
  CHECK(children.events[0].type == ZOO_CHILD_EVENT && !strcmp(children.events[0].path, ROOT));
  OK(zoo_wget(zh, ROOT "/w", watch, &data, buffer, &length, &stat));
  OK(zoo_set(other, ROOT "/w", "2", 1, -1));
  OK(zoo_set(other, ROOT "/w", "3", 1, -1));
  await_count(&data, 2);
  CHECK(data.events[1].type == ZOO_CHANGED_EVENT);
  OK(zoo_wexists(zh, ROOT "/w", watch, &data, &stat));
  OK(zoo_delete(other, ROOT "/w", -1));
  await_count(&data, 3);
  CHECK(data.events[2].type == ZOO_DELETED_EVENT && children.count == 1);
  OK(zookeeper_close(other));
}

static void check_remove_watches(zhandle_t *zh) {
  static struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER};
  struct Stat stat;
  OK(zoo_wexists(zh, ROOT, watch, &seen, &stat));
  OK(zoo_remove_watches(zh, ROOT, ZWATCHTYPE_DATA, watch, &seen, 0));
  OK(zoo_set(zh, ROOT, "changed", 7, -1));
  OK(zoo_exists(zh, ROOT, 0, &stat));
  CHECK(seen.count == 0 || seen.events[0].type != ZOO_CHANGED_EVENT);
  IS(ZNOWATCHER, zoo_remove_watches(zh, ROOT, ZWATCHTYPE_DATA, watch, &seen, 0));
}

static void check_multi(zhandle_t *zh) {
  char path[64], sequential[64];
  struct Stat stat;
  zoo_op_t good[5];
  zoo_op_result_t results[5];
  OK(create(zh, ROOT "/m", "old"));
  zoo_check_op_init(&good[0], ROOT "/m", 0);
  zoo_create_op_init(&good[1], ROOT "/m/a", "1", 1, &ZOO_OPEN_ACL_UNSAFE, 0, path, sizeof path);
  zoo_create_op_init(&good[2], ROOT "/m/s-", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_SEQUENCE,
                     sequential, sizeof sequential);
  zoo_set_op_init(&good[3], ROOT "/m", "new", 3, 0, &stat);
  zoo_delete_op_init(&good[4], ROOT "/m/a", -1);
  OK(zoo_multi(zh, 5, good, results));
  CHECK(!strcmp(path, ROOT "/m/a") && !strcmp(sequential, ROOT "/m/s-0000000001"));
  CHECK(stat.version == 1);
  zoo_op_t bad[3];
  zoo_create_op_init(&bad[0], ROOT "/m/b", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, path, sizeof path);
  zoo_check_op_init(&bad[1], ROOT "/m", 7);
  zoo_delete_op_init(&bad[2], ROOT "/m", -1);
  IS(ZBADVERSION, zoo_multi(zh, 3, bad, results));
  CHECK(results[0].err == ZOK && results[1].err == ZBADVERSION);
  CHECK(results[2].err == ZRUNTIMEINCONSISTENCY);
  IS(ZNONODE, zoo_exists(zh, ROOT "/m/b", 0, &stat));
}

static void auth_done(int code, const void *data) {
  *(volatile int *)data = code == ZOK ? 1 : -1;
}

static void authenticate(zhandle_t *zh, const char *who) {
  volatile int done = 0;
  OK(zoo_add_auth(zh, "digest", who, (int)strlen(who), auth_done, (const void *)&done));
  for (int ms = 0; !done; ms++) {
    CHECK(ms < WAIT_MS);
    usleep(1000);
  }
  CHECK(done == 1);
}

static void check_acl(zhandle_t *zh) {
  char data[8];
  int length = sizeof data;
  struct ACL_vector acl;
  struct Stat stat;
  zhandle_t *owner = connect_new();
  IS(ZINVALIDACL, zoo_create(owner, ROOT "/mine", "x", 1, &ZOO_CREATOR_ALL_ACL, 0, NULL, 0));
  authenticate(owner, "ann:secret");
  OK(zoo_create(owner, ROOT "/mine", "x", 1, &ZOO_CREATOR_ALL_ACL, 0, NULL, 0));
  IS(ZNOAUTH, zoo_get(zh, ROOT "/mine", 0, data, &length, &stat));
  OK(zoo_get_acl(owner, ROOT "/mine", &acl, &stat));
  CHECK(acl.count == 1 && acl.data[0].perms == ZOO_PERM_ALL && stat.aversion == 0);
  CHECK(!strcmp(acl.data[0].id.scheme, "digest"));
  CHECK(!strcmp(acl.data[0].id.id, "ann:7RJfAeIvrl4zdj6sS2fXrQHDvHM="));
  deallocate_ACL_vector(&acl);
  OK(zoo_set_acl(owner, ROOT "/mine", 0, &ZOO_READ_ACL_UNSAFE));
  OK(zoo_get(zh, ROOT "/mine", 0, data, &length, &stat));
  CHECK(stat.aversion == 1);
  IS(ZNOAUTH, zoo_set(zh, ROOT "/mine", "y", 1, -1));
  OK(zookeeper_close(owner));
}

static void sync_done(int code, const char *path, const void *data) {
  *(volatile int *)data = code == ZOK && !strcmp(path, ROOT) ? 1 : -1;
}

static void check_sync_and_config(zhandle_t *zh) {
  volatile int done = 0;
  char config[4096];
  int length = sizeof config;
  struct Stat stat;
  OK(zoo_async(zh, ROOT, sync_done, (const void *)&done));
  for (int ms = 0; !done; ms++) {
    CHECK(ms < WAIT_MS);
    usleep(1000);
  }
  CHECK(done == 1);
  OK(zoo_getconfig(zh, 0, config, &length, &stat));
}

static volatile int created;

static void create_done(int code, const char *path, const void *number) {
  char wanted[64];
  CHECK(code == ZOK);
  snprintf(wanted, sizeof wanted, ROOT "/p-%010ld", (long)number);
  CHECK(!strcmp(path, wanted));
  created++;
}

static void check_pipelining(zhandle_t *zh) {
  for (long number = 0; number < 500; number++)
    OK(zoo_acreate(zh, ROOT "/p-", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_SEQUENCE, create_done,
                   (const void *)number));
  for (int ms = 0; created < 500; ms++) {
    CHECK(ms < WAIT_MS);
    usleep(1000);
  }
}

static void check_session_password(zhandle_t *zh) {
  (void)zh;
  zhandle_t *first = connect_new();
  clientid_t wrong = *zoo_client_id(first);
  wrong.passwd[3] ^= 1;
  zhandle_t *thief = connect_as(&wrong, NULL);
  await_state(thief, ZOO_EXPIRED_SESSION_STATE);
  zookeeper_close(thief);
  await_state(first, ZOO_CONNECTED_STATE);
  OK(zookeeper_close(first));
}

static void check_session_ends(zhandle_t *zh) {
  (void)zh;
  zhandle_t *first = connect_new();
  clientid_t id = *zoo_client_id(first);
  OK(zookeeper_close(first));
  zhandle_t *late = connect_as(&id, NULL);
  await_state(late, ZOO_EXPIRED_SESSION_STATE);
  zookeeper_close(late);
}

static void restart_or_skip(int *did) {
  char answer[16] = "";
  printf("@restart\n");
  fflush(stdout);
  CHECK(fgets(answer, sizeof answer, stdin));
  *did = !strcmp(answer, "done\n");
}

/* The session, its ephemerals and its watches outlive the server. */
static void check_restart(zhandle_t *zh) {
  static struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER};
  struct Stat before, after;
  clientid_t id = *zoo_client_id(zh);
  int did;
  OK(zoo_create(zh, ROOT "/e", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, NULL, 0));
  OK(zoo_wexists(zh, ROOT "/e", watch, &seen, &before));
  restart_or_skip(&did);
  if (!did) {
    skipped++, passed--;
    printf("skip  restart: the server is not ours to stop\n");
    return;
  }
  int code = ZCONNECTIONLOSS;
  for (int ms = 0; code != ZOK; ms += 10) {
    CHECK(ms < WAIT_MS);
    code = zoo_exists(zh, ROOT "/e", 0, &after);
    if (code != ZOK) usleep(10000);
  }
  CHECK(zoo_client_id(zh)->client_id == id.client_id);
  CHECK(same(&before, &after) && seen.count == 0);
  zhandle_t *other = connect_new();
  OK(zoo_set(other, ROOT "/e", "1", 1, -1));
  OK(zookeeper_close(other));
  await_count(&seen, 1);
  CHECK(seen.events[0].type == ZOO_CHANGED_EVENT);
}

struct check {
  const char *name;
  void (*run)(zhandle_t *);
};

static const struct check checks[] = {
    {"create_get_set_delete", check_create_get_set_delete},
    {"null_and_empty_values", check_null_and_empty_values},
    {"children", check_children},
    {"sequence", check_sequence},
    {"ephemeral", check_ephemeral},
    {"container_and_ttl", check_container_and_ttl},
    {"watches", check_watches},
    {"remove_watches", check_remove_watches},
    {"multi", check_multi},
    {"acl", check_acl},
    {"sync_and_config", check_sync_and_config},
    {"pipelining", check_pipelining},
    {"session_password", check_session_password},
    {"session_ends", check_session_ends},
    {"restart", check_restart},
};

int main(int count, char **arguments) {
  if (count != 2) return fprintf(stderr, "usage: smoke HOST:PORT\n"), 2;
  address = arguments[1];
  zoo_set_debug_level((ZooLogLevel)0);
  setvbuf(stdout, NULL, _IOLBF, 0);
  zhandle_t *zh = connect_new();
  for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
    remove_tree(zh, ROOT);
    OK(create(zh, ROOT, "root"));
    int skips = skipped;
    checks[i].run(zh);
    passed++;
    if (skipped == skips) printf("ok    %s\n", checks[i].name);
  }
  remove_tree(zh, ROOT);
  OK(zookeeper_close(zh));
  printf("libzookeeper: %d passed, 0 failed, %d skipped\n", passed, skipped);
  return 0;
}
