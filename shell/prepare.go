package shell

import (
	"fmt"
	"os"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"gomahi/internal/host"
	"gomahi/tun"
)

// prepare builds the container and starts the command.
func (c *container) prepare() (err error) {
	switch {
	case c.Closed:
		if err := c.reserve(); err != nil {
			return err
		}
	case c.Outside == ByGateway && c.room == nil:
		if err := c.prepareBehindGateway(); err != nil {
			return err
		}
	default:
		if c.room != nil {
			if err := c.room.handOver(); err != nil {
				return err
			}
		}
		blocked, err := c.prepareOutside()
		if err != nil {
			return err
		}
		if blocked != "" && c.Outside == Auto && c.room == nil {
			if err := c.detour(blocked); err != nil {
				return err
			}
		} else if blocked != "" {
			c.Warn(blocked)
		}
	}
	if c.Closed && c.Outer != nil {
		if err := c.prepareAlone(); err != nil {
			return err
		}
	}
	if err := c.prepareOuter(); err != nil {
		return err
	}
	onThread(func() { err = c.prepareInside() })
	return err
}

func (c *container) reserve() (err error) {
	if c.addresses, err = reserve(); err != nil {
		return err
	}
	_, err = netlink.LinkByName(insideName)
	c.nested = err == nil
	c.six = hasIPv6()
	return nil
}

// prepareOutside makes the link's outer end in the calling thread's namespace, and its way on from there. It returns
// what keeps the container's packets from going beyond the host, as a warning, or nothing.
func (c *container) prepareOutside() (blocked string, err error) {
	if err := c.reserve(); err != nil {
		return "", err
	}
	if c.parent, err = ownNamespace(); err != nil {
		return "", err
	}
	if c.outside, err = openOutside(c.Tool, c.NoOffload); err != nil {
		return "", err
	}
	a := c.addresses
	index, err := indexOf(c.outside.Name())
	if err != nil {
		return "", err
	}
	if err := adopt(index); err != nil {
		return "", err
	}
	if c.guarded, err = toGuard(); err != nil {
		return "", err
	}
	if c.nat, err = newNAT(c.outside.Name(), index, a, c.six, c.guarded); err != nil {
		return "", err
	}
	if err := configure(c.outside.Name(), index, a.outside4, a.inside4, a.outside6, a.inside6, c.six); err != nil {
		return "", err
	}
	if err := lengthen(c.outside.Name(), c.TxQueueLen); err != nil {
		return "", err
	}
	c.beyond6 = c.six && (forwards6() || force6(c.outside.Name(), "1"))
	if err := startForwarding(c.guarded); err != nil {
		return "", err
	}
	blocked = tryForwarding(c.outside, c.Tool, c.nat, a, c.beyond6, c.NoOffload)
	c.names, err = serveOutside(a.outside4)
	return blocked, err
}

// prepareInside makes the namespace, on a thread that stays in it, and starts the command from there.
func (c *container) prepareInside() (err error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("making a network namespace: %w", err)
	}
	if c.namespace, err = ownNamespace(); err != nil {
		return err
	}
	if c.sockets, err = netlink.NewHandle(unix.NETLINK_INET_DIAG); err != nil {
		return fmt.Errorf("reaching socket diagnostics: %w", err)
	}
	leads := !c.Closed || c.Outer != nil
	if !leads { // the link does to a device that is down
		c.parent = c.namespace
		if c.outside, err = openOutside(c.Tool, c.NoOffload); err != nil {
			return err
		}
	}
	if c.inside, err = openInside(c.addresses, c.six, leads, c.beyond6, c.NoOffload); err != nil {
		return err
	}
	if err := lengthen(insideName, c.TxQueueLen); err != nil {
		return err
	}
	at, err := privateNames()
	if err != nil {
		return err
	}
	if err := putFiles(c.Files); err != nil {
		return err
	}
	if err := serveInside(at, c.dialOutside()); err != nil {
		return err
	}
	if c.room != nil {
		if err := ownConfigs(); err != nil {
			return err
		}
	}
	if err := c.startFerries(); err != nil {
		return err
	}
	return c.startCommand()
}

// openInside makes the device of a fresh network namespace, the calling thread's, and the routes by it.
func openInside(a addresses, six, beyond4, beyond6, plain bool) (tun.Device, error) {
	if err := host.LoopbackUp(); err != nil {
		return nil, fmt.Errorf("bringing up loopback: %w", err)
	}
	if six && forced6("lo") == "" {
		// Containers within this one need IPv6 forwarding, and without force_forwarding it is for the whole namespace.
		// A device made later need not be a router's, or it would say that it is one.
		os.WriteFile("/proc/sys/net/ipv6/conf/all/forwarding", []byte("1"), 0)
		os.WriteFile("/proc/sys/net/ipv6/conf/default/forwarding", []byte("0"), 0)
	}
	d, err := open(insideName, plain)
	if err != nil {
		return nil, err
	}
	index, err := indexOf(insideName)
	if err == nil {
		err = configure(insideName, index, a.inside4, a.outside4, a.inside6, a.outside6, six)
	}
	if err == nil && beyond4 {
		err = routeAll(index, a.outside4)
	}
	if err == nil && beyond6 { // else it is better to have no route than one that leads nowhere
		err = routeAll(index, a.outside6)
	}
	if err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

func (c *container) startFerries() (err error) {
	if c.HoldEffect {
		c.Uplink, c.Downlink = c.hold(c.Uplink), c.hold(c.Downlink)
	}
	if c.uplink, err = newFerry(c.inside, c.outside, c.Uplink, c.clock, &c.resumed); err != nil {
		return err
	}
	if c.downlink, err = newFerry(c.outside, c.inside, c.Downlink, c.clock, &c.resumed); err != nil {
		return err
	}
	c.uplink.peer, c.downlink.peer = c.downlink.sleeper, c.uplink.sleeper
	c.uplink.exact, c.downlink.exact = c.Precise, c.Precise
	if c.Precise {
		keepAwake()
	}
	if c.Realtime {
		c.uplink.realtime, c.downlink.realtime = c.Warn, func(string) {}
		if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT); err != nil {
			c.Warn(fmt.Sprintf("memory is not locked: %v\nhint: it takes root, or a larger memlock limit (limits.conf(5))", err))
		}
	}
	for _, f := range []*ferry{c.uplink, c.downlink} {
		if f.still = c.Realtime; f.still {
			go freshThread(f.run)
		} else {
			go f.run()
		}
	}
	if c.Ready != nil {
		c.Ready(func() {
			c.uplink.rouse()
			c.downlink.rouse()
		})
	}
	return nil
}

// startCommand starts the command, or the init that starts it, from the calling thread.
func (c *container) startCommand() error {
	files, err := c.takeTerminal()
	if err != nil {
		return err
	}
	env := with(environment(c.addresses, c.six, c.nested, c.Host, c.Prefix, max(1, c.Levels)), c.Env)
	argv, env, err := prompting(c.Path, c.Argv, env)
	if err != nil {
		return err
	}
	if err := c.served(); err != nil {
		return err
	}
	if err := c.interruption(); err != nil {
		return err
	}
	if !c.Contain && c.Terminal == nil {
		pid, err := start(c.Path, argv, env, syscall.SysProcAttr{})
		if err == nil {
			c.watch(pid)
		}
		return err
	}
	return c.startContained(files, argv, env)
}
