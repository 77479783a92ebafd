/*
 * The benchmark's client: so many connections, so many requests on each, bodies thrown away in the kernel.
 *
 *   client [-c CONNECTIONS] [-k REQUESTS] [-r BYTES_PER_SECOND] [-s STATUS] [-t SECONDS] [-H HEADER]... HOST PORT PATH...
 *
 * Paths are asked for in turns, "@FILE" names a file with one on each line. An answer counts as failed when its status
 * is another, when it has no Content-Length, or when it ends before that. -r is for each connection; -t is how long
 * nothing may arrive at all. Prints one line of JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_MAX = 32768, EVENTS = 256, RATE_TICK_MS = 5, RATE_LEAST = 2048 };

struct connection {
	int fd;
	int left_requests;
	int asked_here; /* Requests on this socket so far. */
	int body; /* 0: the head is being read. */
	int paused;
	size_t asked, ask_length;
	char ask[4096];
	size_t head_length;
	char *head;
	long long body_left, body_got;
	double begun, answer_begun;
};

static struct sockaddr_in address;
static char **paths;
static size_t path_count, next_path;
static char extra[2048] = "";
static const char *host, *port;
static long wanted_status = 200;
static double rate;
static int poller, running;
static long long total_bytes, total_requests, total_failed;
static double *first_bytes;
static size_t first_count, first_room;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static void watch(struct connection *c, int operation, unsigned events)
{
	struct epoll_event event = {.events = events, .data.ptr = c};
	if (epoll_ctl(poller, operation, c->fd, &event) != 0) die("epoll_ctl");
}

static void begin_request(struct connection *c)
{
	const char *path = paths[next_path++ % path_count];
	c->ask_length = (size_t)snprintf(c->ask, sizeof c->ask, "GET %s HTTP/1.1\r\nHost: %s:%s\r\n%s\r\n", path, host, port, extra);
	if (c->ask_length >= sizeof c->ask) {
		fprintf(stderr, "a path is too long\n");
		exit(1);
	}
	c->asked = c->head_length = 0;
	c->body = 0;
	c->body_got = 0;
	if (c->asked_here > 0) c->begun = now();
}

static void open_connection(struct connection *c)
{
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0) die("socket");
	int one = 1;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	c->asked_here = 0;
	c->paused = 0;
	/* What a client waits for first is the connection. */
	c->begun = now();
	if (connect(c->fd, (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS) die("connect");
	begin_request(c);
	watch(c, EPOLL_CTL_ADD, EPOLLOUT);
}

static void close_connection(struct connection *c)
{
	close(c->fd);
	c->fd = -1;
}

/* The answer is over, as it should be or not; the next one, if there is one, may need another socket. */
static void end_request(struct connection *c, int failed, int keep)
{
	total_failed += failed;
	total_requests += !failed;
	c->asked_here++;
	if (--c->left_requests == 0) {
		close_connection(c);
		running--;
	} else if (keep) {
		begin_request(c);
		watch(c, EPOLL_CTL_MOD, EPOLLOUT);
	} else {
		close_connection(c);
		open_connection(c);
	}
}

static void note_first_byte(struct connection *c)
{
	if (first_count == first_room) {
		first_room = first_room == 0 ? 4096 : first_room * 2;
		first_bytes = realloc(first_bytes, first_room * sizeof *first_bytes);
		if (first_bytes == NULL) die("realloc");
	}
	c->answer_begun = now();
	first_bytes[first_count++] = (c->answer_begun - c->begun) * 1000;
}

static const char *field(const char *head, const char *name)
{
	size_t length = strlen(name);
	for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
		line += 2;
		if (strncasecmp(line, name, length) == 0 && line[length] == ':') return line + length + 1 + strspn(line + length + 1, " ");
	}
	return NULL;
}

static int keeps_alive(struct connection *c)
{
	const char *connection = field(c->head, "connection");
	return connection == NULL || strncasecmp(connection, "close", 5) != 0;
}

/* Reads what is there of the head. 0: it is not whole yet; -1: it is no answer that counts. */
static int read_head(struct connection *c)
{
	ssize_t got = recv(c->fd, c->head + c->head_length, HEAD_MAX - 1 - c->head_length, 0);
	if (got < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
	if (got <= 0) return -1;
	c->head_length += (size_t)got;
	c->head[c->head_length] = '\0';
	char *end = strstr(c->head, "\r\n\r\n");
	if (end == NULL) return c->head_length >= HEAD_MAX - 1 ? -1 : 0;
	end[2] = '\0';
	long status = c->head_length > 12 ? strtol(c->head + 9, NULL, 10) : 0;
	const char *length = field(c->head, "content-length");
	int bodiless = status == 304 || status == 204;
	if (status != wanted_status || (length == NULL && !bodiless)) return -1;
	c->body_left = bodiless ? 0 : strtoll(length, NULL, 10);
	c->body_got = (long long)(c->head_length - (size_t)(end + 4 - c->head));
	if (c->body_got > c->body_left) return -1;
	c->body_left -= c->body_got;
	total_bytes += c->body_got;
	c->body = 1;
	if (c->body_got > 0 || c->body_left == 0) note_first_byte(c);
	return 1;
}

static void readable(struct connection *c)
{
	if (!c->body) {
		int state = read_head(c);
		if (state < 0) end_request(c, 1, 0);
		if (state <= 0) return;
	} else {
		long long most = c->body_left;
		if (rate > 0 && c->body_got > 0) {
			long long allowed = (long long)((now() - c->answer_begun) * rate) - c->body_got;
			/* Not byte by byte, as they become due. */
			if (allowed < RATE_LEAST && allowed < c->body_left) {
				c->paused = 1;
				watch(c, EPOLL_CTL_MOD, 0);
				return;
			}
			if (most > allowed) most = allowed;
		} else if (rate > 0 && most > 16384) {
			most = 16384;
		}
		/* With MSG_TRUNC, TCP drops the bytes without copying them. */
		ssize_t got = recv(c->fd, NULL, most > 1 << 30 ? 1 << 30 : (size_t)most, MSG_TRUNC);
		if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
		if (got <= 0) {
			end_request(c, 1, 0);
			return;
		}
		if (c->body_got == 0) note_first_byte(c);
		c->body_got += got;
		c->body_left -= got;
		total_bytes += got;
	}
	if (c->body_left == 0) end_request(c, 0, keeps_alive(c));
}

static void writable(struct connection *c)
{
	ssize_t sent = send(c->fd, c->ask + c->asked, c->ask_length - c->asked, MSG_NOSIGNAL);
	if (sent < 0 && (errno == EAGAIN || errno == EINTR)) return;
	if (sent < 0) {
		/* A connection that the server closed between two answers is nobody's failure. */
		int was_kept = c->asked_here > 0;
		if (was_kept) {
			close_connection(c);
			open_connection(c);
		} else {
			end_request(c, 1, 0);
		}
		return;
	}
	c->asked += (size_t)sent;
	if (c->asked == c->ask_length) watch(c, EPOLL_CTL_MOD, EPOLLIN);
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double at(double share)
{
	if (first_count == 0) return -1;
	size_t place = (size_t)(share * (double)first_count + 0.999999);
	return first_bytes[place == 0 ? 0 : place > first_count ? first_count - 1 : place - 1];
}

static void add_path(char *path)
{
	paths = realloc(paths, (path_count + 1) * sizeof *paths);
	if (paths == NULL) die("realloc");
	paths[path_count++] = path;
}

static void add_paths(char *argument)
{
	if (argument[0] != '@') {
		add_path(argument);
		return;
	}
	FILE *file = fopen(argument + 1, "r");
	if (file == NULL) die(argument + 1);
	char line[4096];
	while (fgets(line, sizeof line, file) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] != '\0') add_path(strdup(line));
	}
	fclose(file);
}

int main(int count, char **arguments)
{
	int connections = 1, requests = 1, patience = 120, option;
	while ((option = getopt(count, arguments, "c:k:r:s:t:H:")) != -1) {
		if (option == 'c') connections = atoi(optarg);
		else if (option == 'k') requests = atoi(optarg);
		else if (option == 'r') rate = atof(optarg);
		else if (option == 's') wanted_status = atol(optarg);
		else if (option == 't') patience = atoi(optarg);
		else if (option == 'H' && strlen(extra) + strlen(optarg) + 3 < sizeof extra) strcat(strcat(extra, optarg), "\r\n");
		else return 2;
	}
	if (count - optind < 3 || connections < 1 || requests < 1) {
		fprintf(stderr, "usage: client [options] HOST PORT PATH...\n");
		return 2;
	}
	host = arguments[optind];
	port = arguments[optind + 1];
	for (int i = optind + 2; i < count; i++) add_paths(arguments[i]);
	address.sin_family = AF_INET;
	address.sin_port = htons((unsigned short)atoi(port));
	if (inet_pton(AF_INET, host, &address.sin_addr) != 1 || path_count == 0) return 2;
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}

	struct connection *all = calloc((size_t)connections, sizeof *all);
	poller = epoll_create1(EPOLL_CLOEXEC);
	if (all == NULL || poller < 0) die("epoll_create1");
	running = connections;
	double begun = now(), moved = begun, ticked = begun;
	for (int i = 0; i < connections; i++) {
		all[i].head = malloc(HEAD_MAX);
		if (all[i].head == NULL) die("malloc");
		all[i].left_requests = requests;
		open_connection(&all[i]);
	}
	while (running > 0) {
		struct epoll_event events[EVENTS];
		int ready = epoll_wait(poller, events, EVENTS, rate > 0 ? RATE_TICK_MS : 1000);
		if (ready < 0 && errno != EINTR) die("epoll_wait");
		for (int i = 0; i < ready; i++) {
			struct connection *c = events[i].data.ptr;
			if (c->fd < 0) continue;
			if (c->asked < c->ask_length) writable(c);
			else if (!c->paused || (events[i].events & (EPOLLERR | EPOLLHUP))) readable(c);
		}
		/* A slow reader that looks all the time would take the processor from those whom it is to be compared with. */
		int is_time = rate > 0 && (now() - ticked) * 1000 >= RATE_TICK_MS;
		if (is_time) ticked = now();
		for (int i = 0; is_time && i < connections; i++) {
			if (all[i].fd >= 0 && all[i].paused) {
				all[i].paused = 0;
				watch(&all[i], EPOLL_CTL_MOD, EPOLLIN);
			}
		}
		if (ready > 0) moved = now();
		else if (now() - moved > patience) {
			fprintf(stderr, "nothing has come for %d seconds\n", patience);
			for (int i = 0; i < connections; i++) total_failed += all[i].fd >= 0 ? all[i].left_requests : 0;
			break;
		}
	}
	double seconds = now() - begun;
	struct rusage used;
	getrusage(RUSAGE_SELF, &used);
	double cpu = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
	qsort(first_bytes, first_count, sizeof *first_bytes, ascending);
	printf("{\"seconds\":%.6f,\"bytes\":%lld,\"requests\":%lld,\"failed\":%lld,\"cpuSeconds\":%.3f,"
		"\"firstByteMs\":{\"min\":%.3f,\"median\":%.3f,\"p99\":%.3f,\"max\":%.3f}}\n",
		seconds, total_bytes, total_requests, total_failed, cpu, at(0), at(0.5), at(0.99), at(1));
	return 0;
}
