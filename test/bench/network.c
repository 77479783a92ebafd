/*
 * A network of its own for a benchmark: loopback with the MTU of an Ethernet and cubic, as between two machines.
 *
 *   network run PROGRAM ARGUMENT...    runs the program in a new network namespace; exits with 77 where it may not
 *   network show                       prints MTU and congestion control of a connection over loopback, as JSON
 *
 * Root needs nothing else; others get a user namespace in which they stay who they are.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAY_NOT = 77, MTU = 1500 };
static const char *const wanted = "cubic";

static void may_not(const char *what)
{
	fprintf(stderr, "network: %s: %s\n", what, strerror(errno));
	exit(MAY_NOT);
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0) return -1;
	ssize_t written = write(fd, text, strlen(text));
	close(fd);
	return written < 0 ? -1 : 0;
}

static void separate(void)
{
	char map[64];
	uid_t user = geteuid();
	gid_t group = getegid();
	if (user == 0 && unshare(CLONE_NEWNET) == 0) return;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) may_not("unshare");
	write_file("/proc/self/setgroups", "deny");
	snprintf(map, sizeof map, "%u %u 1", user, user);
	if (write_file("/proc/self/uid_map", map) != 0) may_not("uid_map");
	snprintf(map, sizeof map, "%u %u 1", group, group);
	if (write_file("/proc/self/gid_map", map) != 0) may_not("gid_map");
}

static void start_loopback(void)
{
	struct ifreq lo = {.ifr_name = "lo"};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0) may_not("socket");
	lo.ifr_mtu = MTU;
	if (ioctl(fd, SIOCSIFMTU, &lo) != 0) may_not("mtu");
	if (ioctl(fd, SIOCGIFFLAGS, &lo) != 0) may_not("lo");
	lo.ifr_flags |= IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &lo) != 0) may_not("lo up");
	close(fd);
}

static struct rtattr *attribute(struct nlmsghdr *message, unsigned short type, const void *data, size_t length)
{
	struct rtattr *added = (struct rtattr *)((char *)message + NLMSG_ALIGN(message->nlmsg_len));
	added->rta_type = type;
	added->rta_len = (unsigned short)RTA_LENGTH(length);
	if (length > 0) memcpy(RTA_DATA(added), data, length);
	message->nlmsg_len = NLMSG_ALIGN(message->nlmsg_len) + RTA_ALIGN(added->rta_len);
	return added;
}

/* Where cubic may not be everybody's, a route may still name it: ip route replace local 127.0.0.0/8 ... congctl cubic */
static int route_with_cubic(int prefix, const char *to)
{
	struct {
		struct nlmsghdr head;
		struct rtmsg route;
		char room[256];
	} ask = {
		.head = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct rtmsg)), .nlmsg_type = RTM_NEWROUTE,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE | NLM_F_ACK},
		.route = {.rtm_family = AF_INET, .rtm_dst_len = (unsigned char)prefix, .rtm_table = RT_TABLE_LOCAL,
			.rtm_protocol = RTPROT_KERNEL, .rtm_scope = RT_SCOPE_HOST, .rtm_type = RTN_LOCAL},
	};
	struct in_addr target, self;
	unsigned lo = if_nametoindex("lo");
	inet_pton(AF_INET, to, &target);
	inet_pton(AF_INET, "127.0.0.1", &self);
	attribute(&ask.head, RTA_DST, &target, sizeof target);
	attribute(&ask.head, RTA_PREFSRC, &self, sizeof self);
	attribute(&ask.head, RTA_OIF, &lo, sizeof lo);
	struct rtattr *metrics = attribute(&ask.head, RTA_METRICS, NULL, 0);
	attribute(&ask.head, RTAX_CC_ALGO, wanted, strlen(wanted) + 1);
	metrics->rta_len = (unsigned short)((char *)&ask + ask.head.nlmsg_len - (char *)metrics);
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		char room[512];
	} answer = {.error.error = -EIO};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0) return -1;
	if (send(fd, &ask, ask.head.nlmsg_len, 0) < 0 || recv(fd, &answer, sizeof answer, 0) < 0) answer.error.error = -errno;
	close(fd);
	return answer.error.error;
}

static int show(void)
{
	struct ifreq lo = {.ifr_name = "lo"};
	struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof here;
	char congestion[32] = "";
	socklen_t room = sizeof congestion - 1;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(listener, (struct sockaddr *)&here, sizeof here) != 0 || listen(listener, 1) != 0 ||
		getsockname(listener, (struct sockaddr *)&here, &length) != 0 ||
		connect(client, (struct sockaddr *)&here, sizeof here) != 0) may_not("connect");
	/* The accepted side: it is the one that sends. */
	int accepted = accept(listener, NULL, NULL);
	getsockopt(accepted, IPPROTO_TCP, TCP_CONGESTION, congestion, &room);
	ioctl(client, SIOCGIFMTU, &lo);
	printf("{\"mtu\":%d,\"congestion\":\"%s\"}\n", lo.ifr_mtu, congestion);
	return 0;
}

int main(int count, char **arguments)
{
	if (count == 2 && strcmp(arguments[1], "show") == 0) return show();
	if (count < 3 || strcmp(arguments[1], "run") != 0) return 2;
	separate();
	start_loopback();
	/* What cannot be had is no reason to stop: `show` tells what it is in the end. */
	if (write_file("/proc/sys/net/ipv4/tcp_congestion_control", wanted) != 0) {
		route_with_cubic(8, "127.0.0.0");
		route_with_cubic(32, "127.0.0.1");
	}
	execvp(arguments[2], arguments + 2);
	may_not(arguments[2]);
}
