import { BlockList, isIP } from "node:net";

/**
 * The addresses that are nobody's own machine or network: what a tool may connect to that was told where by a model. Taken from the IANA registries
 * of special-purpose addresses.
 */

/** Of IPv4 all is public but these. */
const special4 = blockList("ipv4", [
  ["0.0.0.0", 8], // this network, unspecified
  ["10.0.0.0", 8], // private
  ["100.64.0.0", 10], // shared by a carrier's customers (CGNAT)
  ["127.0.0.0", 8], // loopback
  ["169.254.0.0", 16], // link-local, with the metadata services of clouds
  ["172.16.0.0", 12], // private
  ["192.0.0.0", 24], // protocol assignments
  ["192.0.2.0", 24], // documentation
  ["192.88.99.0", 24], // 6to4 relays
  ["192.168.0.0", 16], // private
  ["198.18.0.0", 15], // benchmarks
  ["198.51.100.0", 24], // documentation
  ["203.0.113.0", 24], // documentation
  ["224.0.0.0", 4], // multicast
  ["240.0.0.0", 4], // reserved, broadcast
]);

/**
 * Of IPv6 only this is handed out to networks. Outside lie loopback, unspecified, link-local, unique local and multicast addresses, and those that
 * wrap an IPv4 address: mapped (::ffff:0:0/96) and NAT64 (64:ff9b::/96, 64:ff9b:1::/48).
 */
const global6 = blockList("ipv6", [["2000::", 3]]);

/** And of that not these. */
const special6 = blockList("ipv6", [
  ["2001::", 23], // protocol assignments, with Teredo, which wraps an IPv4 address
  ["2001:db8::", 32], // documentation
  ["2002::", 16], // 6to4, which wraps an IPv4 address
  ["3fff::", 20], // documentation
]);

/** Whether an IP address, in any spelling that `node:net` takes, is public. False for what is no address. */
export function isPublicAddress(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return !special4.check(address, "ipv4");
    case 6:
      // A zone ("%eth0") names a network interface of this machine.
      return !address.includes("%") && global6.check(address, "ipv6") && !special6.check(address, "ipv6");
    default:
      return false;
  }
}

function blockList(family: "ipv4" | "ipv6", nets: readonly (readonly [net: string, prefix: number])[]): BlockList {
  const list = new BlockList();
  for (const [net, prefix] of nets) list.addSubnet(net, prefix, family);
  return list;
}
