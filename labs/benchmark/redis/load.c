// Load on Redis: N connections, each doing one operation after the other, on one thread and one epoll, with nothing
// but system calls in between. It reads one line a measurement, "clerks seconds operation value_size keys", and
// answers each with a JSON object that has the fields of LoadDone (common/load.py).
//
// A put or an append is acknowledged by a replica: SET (or APPEND) and WAIT 1 leave in one write, and both answers are
// waited for. A get is a GET. cc -O2 -o load load.c; ./load PORT
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 4096, BUFFER = 1 << 21 };

typedef struct {
  int fd, key, replies, got;
  double began;
  long skip; // bytes of a bulk string that are still to come
  char line[64];
  int length;
} Client;

static Client clients[MOST];
static char *request, *value, input[1 << 16];
static double *took;
static long count, room;
static int keys, value_size;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

static void connect_to(Client *client, int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int yes = 1;
  client->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (client->fd < 0 || connect(client->fd, (struct sockaddr *)&address, sizeof address) < 0) fail("connect");
  setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

// Sends the client's next operation: `what` is "get", "put" or "append".
static void send_next(Client *client, const char *what, int size) {
  char key[32];
  int named = snprintf(key, sizeof key, "key-%d", client->key % keys), length;
  if (*what == 'g') {
    length = sprintf(request, "*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", named, key);
    client->replies = 1;
  } else {
    const char *verb = *what == 'p' ? "$3\r\nSET" : "$6\r\nAPPEND";
    length = sprintf(request, "*3\r\n%s\r\n$%d\r\n%s\r\n$%d\r\n%.*s\r\n*3\r\n$4\r\nWAIT\r\n$1\r\n1\r\n$4\r\n5000\r\n", verb,
                     named, key, size, size, value);
    client->replies = 2;
  }
  client->key++;
  client->got = 0;
  client->began = now();
  for (int sent = 0; sent < length;) {
    ssize_t part = write(client->fd, request + sent, length - sent);
    if (part < 0) fail("write");
    sent += part;
  }
}

// Takes in what came. Gives 1 when the operation is over.
static int take_in(Client *client) {
  ssize_t size = read(client->fd, input, sizeof input);
  if (size <= 0) fail("read");
  for (ssize_t at = 0; at < size;) {
    if (client->skip > 0) {
      long part = size - at < client->skip ? size - at : client->skip;
      client->skip -= part, at += part;
      if (client->skip == 0) client->got++;
      continue;
    }
    char each = input[at++];
    if (client->length < (int)sizeof client->line - 1) client->line[client->length++] = each;
    if (each != '\n') continue;
    client->line[client->length] = 0, client->length = 0;
    if (client->line[0] == '-') fprintf(stderr, "%s", client->line), exit(1);
    if (client->line[0] == '$' && client->line[1] != '-')
      client->skip = atol(client->line + 1) + 2;
    else
      client->got++;
    if (client->got == 2 && client->line[0] == ':' && client->line[1] == '0')
      fprintf(stderr, "no replica acknowledged a write\n"), exit(1);
  }
  return client->got >= client->replies;
}

// So many clients, until it is time or, if `seconds` is 0, until each key was written once.
static void run(int epoll, int clerks, double seconds, const char *what, int size, int note) {
  double end = now() + seconds;
  int active = clerks, share = keys / clerks + 1;
  for (int number = 0; number < clerks; number++) {
    clients[number].key = number * share;
    send_next(&clients[number], what, size);
  }
  struct epoll_event events[256];
  while (active > 0) {
    int ready = epoll_wait(epoll, events, 256, -1);
    for (int each = 0; each < ready; each++) {
      Client *client = &clients[events[each].data.u32];
      if (!take_in(client)) continue;
      double time = now();
      if (note) {
        if (count == room && !(took = realloc(took, (room = 2 * room + 4096) * sizeof *took))) fail("realloc");
        took[count++] = time - client->began;
      }
      int done = seconds > 0 ? time >= end : client->key >= ((int)(client - clients) + 1) * share;
      if (done)
        active--;
      else
        send_next(client, what, size);
    }
  }
}

static int ascending(const void *left, const void *right) {
  double difference = *(const double *)left - *(const double *)right;
  return difference < 0 ? -1 : difference > 0;
}

int main(int argc, char **argv) {
  int epoll = epoll_create1(0), connected = 0, clerks;
  double seconds;
  char what[16];
  if (argc != 2 || !(request = malloc(2 * BUFFER)) || !(value = malloc(BUFFER))) return 2;
  memset(value, 'v', BUFFER);
  while (scanf("%d %lf %15s %d %d", &clerks, &seconds, what, &value_size, &keys) == 5) {
    if (clerks > MOST || value_size >= BUFFER) return 2;
    for (; connected < clerks; connected++) {
      struct epoll_event event = {.events = EPOLLIN, .data.u32 = connected};
      connect_to(&clients[connected], atoi(argv[1]));
      epoll_ctl(epoll, EPOLL_CTL_ADD, clients[connected].fd, &event);
    }
    run(epoll, clerks < keys ? clerks : keys, 0, "put", *what == 'a' ? 0 : value_size, 0);
    count = 0;
    double began = now();
    run(epoll, clerks, seconds, what, value_size, 1);
    double lasted = now() - began;
    qsort(took, count, sizeof *took, ascending);
    printf("{\"operations\": %ld, \"seconds\": %.6f, \"median\": %.9f, \"slow\": %.9f, \"slowest\": %.9f}\n", count, lasted,
           took[count / 2], took[count * 99 / 100], took[count - 1]);
    fflush(stdout);
  }
  return 0;
}
