/*
 * The benchmark's upstream: files of a folder over a line of so many bytes per second, evenly, and counted.
 *
 *   upstream FOLDER [BYTES_PER_SECOND]
 *
 * GET /images/UUID/file is the file images_UUID_file. All connections share the line, which moves on by the millisecond:
 * nginx's limit_rate thinks in seconds, and sends the first one's bytes at once. GET /sent tells how many bytes of
 * bodies whose path ends in /file have been sent. Understands Range: bytes=N-[M]. Prints its port.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_MAX = 16384, EVENTS = 256, TURN = 1 << 21, PIECE = 65536 };

struct connection {
	int fd, file, counted, waiting;
	size_t head_length;
	char head[HEAD_MAX];
	size_t answer_sent, answer_length;
	char answer[1024];
	off_t at, end;
	struct connection *next, *previous; /* Of those that wait for the line. */
};

static int poller, ticker, ticking;
static const char *folder;
static double rate, allowance, filled;
static long long file_bytes, file_requests;
static struct connection line = {.next = &line, .previous = &line};

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

static void tick(int on)
{
	struct itimerspec every = {.it_interval.tv_nsec = on ? 1000000 : 0, .it_value.tv_nsec = on ? 1000000 : 0};
	timerfd_settime(ticker, 0, &every, NULL);
	ticking = on;
}

static void fill(void)
{
	double time = now();
	if (!ticking) allowance = rate / 1000;
	else allowance += (time - filled) * rate;
	/* A tick that came late is made up for, a client that did not read is not. */
	if (allowance > rate / 20) allowance = rate / 20;
	filled = time;
}

static void watch(struct connection *c, int operation, unsigned events)
{
	struct epoll_event event = {.events = events, .data.ptr = c};
	if (epoll_ctl(poller, operation, c->fd, &event) != 0) die("epoll_ctl");
}

static void leave_line(struct connection *c)
{
	if (!c->waiting) return;
	c->waiting = 0;
	c->previous->next = c->next;
	c->next->previous = c->previous;
}

static void join_line(struct connection *c)
{
	if (c->waiting) return;
	c->waiting = 1;
	c->previous = line.previous;
	c->next = &line;
	line.previous->next = c;
	line.previous = c;
	watch(c, EPOLL_CTL_MOD, 0);
}

static void hang_up(struct connection *c)
{
	leave_line(c);
	if (c->file >= 0) close(c->file);
	close(c->fd);
	c->fd = -1;
	free(c);
}

/* 0: it has to wait, for the line or for its client; 1: all is sent; -1: it is gone. */
static int send_more(struct connection *c)
{
	while (c->answer_sent < c->answer_length) {
		ssize_t sent = send(c->fd, c->answer + c->answer_sent, c->answer_length - c->answer_sent, MSG_NOSIGNAL | (c->at < c->end ? MSG_MORE : 0));
		if (sent < 0) return errno == EAGAIN ? (watch(c, EPOLL_CTL_MOD, EPOLLOUT), 0) : -1;
		c->answer_sent += (size_t)sent;
	}
	for (long long turn = 0; c->at < c->end;) {
		long long most = c->end - c->at;
		if (rate > 0) {
			if (!ticking) {
				fill();
				tick(1);
			}
			/* A line sends in packets, not byte by byte. */
			if (allowance < PIECE && allowance < most) {
				join_line(c);
				return 0;
			}
			if (most > PIECE) most = PIECE;
		} else if (turn >= TURN) {
			watch(c, EPOLL_CTL_MOD, EPOLLOUT);
			return 0;
		}
		ssize_t sent = sendfile(c->fd, c->file, &c->at, most > TURN ? TURN : (size_t)most);
		if (sent < 0 && errno == EAGAIN) {
			watch(c, EPOLL_CTL_MOD, EPOLLOUT);
			return 0;
		}
		if (sent <= 0) return -1;
		turn += sent;
		allowance -= (double)sent;
		if (c->counted) file_bytes += sent;
	}
	return 1;
}

static void answer(struct connection *c)
{
	char method[8] = "", path[2048] = "", name[4096];
	c->file = -1;
	c->at = c->end = 0;
	c->answer_sent = 0;
	if (sscanf(c->head, "%7s %2047s", method, path) != 2) path[0] = '\0';
	path[strcspn(path, "?")] = '\0';
	size_t length = strlen(path);
	if (strcmp(path, "/sent") == 0) {
		char body[96];
		int size = snprintf(body, sizeof body, "{\"bytes\":%lld,\"requests\":%lld}", file_bytes, file_requests);
		c->answer_length = (size_t)sprintf(c->answer, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", size, body);
		return;
	}
	c->counted = length > 5 && strcmp(path + length - 5, "/file") == 0;
	for (char *slash = path + 1; length > 0 && *slash != '\0'; slash++) {
		if (*slash == '/') *slash = '_';
	}
	snprintf(name, sizeof name, "%s/%s", folder, path + 1);
	struct stat status;
	c->file = length > 1 ? open(name, O_RDONLY | O_CLOEXEC) : -1;
	if (c->file < 0 || fstat(c->file, &status) != 0 || !S_ISREG(status.st_mode)) {
		c->answer_length = (size_t)sprintf(c->answer, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
		return;
	}
	long long from = 0, to = status.st_size - 1;
	const char *range = strcasestr(c->head, "\r\nrange: bytes=");
	int partial = range != NULL && sscanf(range + 15, "%lld-%lld", &from, &to) >= 1 && from < status.st_size;
	if (to >= status.st_size) to = status.st_size - 1;
	if (!partial) from = 0, to = status.st_size - 1;
	char extent[128] = "";
	if (partial) sprintf(extent, "Content-Range: bytes %lld-%lld/%lld\r\n", from, to, (long long)status.st_size);
	c->answer_length = (size_t)sprintf(c->answer, "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %lld\r\nAccept-Ranges: bytes\r\n"
		"ETag: \"%llx-%llx\"\r\nCache-Control: max-age=86400\r\n%s\r\n", partial ? "206 Partial Content" : "200 OK",
		c->counted ? "application/octet-stream" : "application/json", to - from + 1, (long long)status.st_mtime, (long long)status.st_size, extent);
	if (strcmp(method, "HEAD") != 0) {
		c->at = from;
		c->end = to + 1;
	}
	file_requests += c->counted && c->end > 0;
}

/* Goes on with what this connection is at, and with what it asked meanwhile. */
static void serve(struct connection *c)
{
	for (;;) {
		char *end = strstr(c->head, "\r\n\r\n");
		if (c->answer_length == 0) {
			if (end == NULL) break;
			answer(c);
		}
		int state = send_more(c);
		if (state < 0) {
			hang_up(c);
			return;
		}
		if (state == 0) return;
		if (c->file >= 0) close(c->file);
		c->file = -1;
		c->answer_length = 0;
		size_t used = (size_t)(end + 4 - c->head);
		memmove(c->head, c->head + used, c->head_length - used + 1);
		c->head_length -= used;
	}
	watch(c, EPOLL_CTL_MOD, EPOLLIN);
}

static void readable(struct connection *c)
{
	ssize_t got = recv(c->fd, c->head + c->head_length, HEAD_MAX - 1 - c->head_length, 0);
	if (got < 0 && errno == EAGAIN) return;
	if (got <= 0) {
		hang_up(c);
		return;
	}
	c->head_length += (size_t)got;
	c->head[c->head_length] = '\0';
	serve(c);
}

static void accept_all(int listener)
{
	int fd, one = 1;
	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct connection *c = calloc(1, sizeof *c);
		if (c == NULL) die("calloc");
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		c->fd = fd;
		c->file = -1;
		watch(c, EPOLL_CTL_ADD, EPOLLIN);
	}
}

/* Each that waits gets a piece in its turn. */
static void share_line(void)
{
	unsigned long long times;
	if (read(ticker, &times, sizeof times) < 0 && errno != EAGAIN) die("timerfd");
	if (!ticking) return;
	fill();
	while (line.next != &line && allowance >= 1) {
		struct connection *c = line.next;
		if (allowance < PIECE && allowance < (double)(c->end - c->at)) return;
		leave_line(c);
		serve(c);
	}
}

int main(int count, char **arguments)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof address;
	struct rlimit files;
	if (count < 2) return 2;
	folder = arguments[1];
	rate = count > 2 ? atof(arguments[2]) : 0;
	signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 2048) != 0) die("listen");
	if (getsockname(listener, (struct sockaddr *)&address, &length) != 0) die("getsockname");
	poller = epoll_create1(EPOLL_CLOEXEC);
	ticker = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = &poller};
	if (epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event) != 0) die("epoll_ctl");
	event.data.ptr = &ticker;
	if (epoll_ctl(poller, EPOLL_CTL_ADD, ticker, &event) != 0) die("epoll_ctl");
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
	for (;;) {
		struct epoll_event events[EVENTS];
		int ready = epoll_wait(poller, events, EVENTS, ticking ? 1000 : -1);
		if (ready < 0 && errno != EINTR) die("epoll_wait");
		int ticked = 0;
		for (int i = 0; i < ready; i++) {
			struct connection *c = events[i].data.ptr;
			if ((void *)c == &poller) accept_all(listener);
			else if ((void *)c == &ticker) ticked = 1;
			else if (events[i].events & (EPOLLERR | EPOLLHUP)) hang_up(c);
			else if (events[i].events & EPOLLIN) readable(c);
			else serve(c);
		}
		if (ticked) {
			share_line();
			/* With nobody left to send to, the next one begins with an empty line. */
			if (line.next == &line && allowance >= rate / 20) tick(0);
		}
	}
}
