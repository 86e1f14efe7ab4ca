package host

// ipv6 says how far IPv6 reaches; gomahi(7), "Forwarding, IPv6".
func (m *Machine) ipv6() Finding {
	const all = "/proc/sys/net/ipv6/conf/all/"
	f := Finding{Name: "IPv6"}
	switch {
	case !m.exists("/proc/sys/net/ipv6"):
		f.Says, f.Means = "this kernel has none", "containers have IPv4 alone"
		f.Mend = "start the kernel without ipv6.disable=1"
	case m.read("/proc/sys/net/ipv6/conf/default/disable_ipv6") == "1":
		f.Says, f.Means = "net.ipv6.conf.default.disable_ipv6 is 1", "containers have IPv4 alone"
		f.setting("net.ipv6.conf.all.disable_ipv6=0", "net.ipv6.conf.default.disable_ipv6=0")
	case !m.Privileged():
		f.OK, f.Says = true, "there, and gm-gateway carries it"
	case m.read(all+"forwarding") == "1":
		f.OK, f.Says = true, "there, and this host forwards it"
	case m.exists(all+"force_forwarding") && m.Writable(all+"force_forwarding"):
		f.OK, f.Says = true, "there; devices forward it one by one (force_forwarding)"
	default:
		f.Says = "there, but no device of its own can be made to forward it (Linux 6.17 can)"
		if m.exists(all + "force_forwarding") {
			f.Says = "there, but /proc/sys is read-only"
		}
		f.Means = "a container of root's reaches GM_BASE6, but nothing beyond"
		f.Mend = "use --outside=gateway, or sudo sysctl -w net.ipv6.conf.all.forwarding=1 (which ends router advertisements)"
	}
	return f
}
