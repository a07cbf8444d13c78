package endpoint

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
)

// TestGatherSystemInfo: on this machine everything is found out.
func TestGatherSystemInfo(t *testing.T) {
	info, err := GatherSystemInfo(t.Context())
	if err != nil && !errors.Is(err, errNoAddress) { // a host without a network has none
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if info.Hostname != host || info.Platform != runtime.GOOS || info.DeviceID != "" || info.SchemaVersion != "1.0" {
		t.Errorf("got %+v", info)
	}
	if info.CPUCount < int64(runtime.NumCPU()) { // the program may be bound to some of them
		t.Errorf("%d processors, but the program has %d", info.CPUCount, runtime.NumCPU())
	}
	if info.MemoryTotalGB <= 0 || info.OSVersion == unknownInfo || info.OSVersion == "" {
		t.Errorf("got %+v", info)
	}
	want, err := primaryAddress()
	if errors.Is(err, errNoAddress) {
		if info.IPAddress != unknownInfo {
			t.Errorf("address %s, want none", info.IPAddress)
		}
		return
	}
	if err != nil || info.IPAddress != want.String() || want.IsLoopback() || !isOurs(t, want) {
		t.Errorf("address %s, want %s, %v", info.IPAddress, want, err)
	}
}

// isOurs reports whether an interface of this host has the address.
func isOurs(t *testing.T, ip net.IP) bool {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(addresses, func(a net.Addr) bool {
		network, ok := a.(*net.IPNet)
		return ok && network.IP.Equal(ip)
	})
}

// sources are sources that know everything.
func sources() systemSources {
	return systemSources{
		cpus:     func(context.Context) (int, error) { return 8, nil },
		memory:   func(context.Context) (uint64, error) { return 33_000_000_000, nil },
		version:  func(context.Context) (string, error) { return "Linux 1", nil },
		hostname: func() (string, error) { return "h", nil },
		address:  func() (net.IP, error) { return net.IPv4(192, 0, 2, 2), nil },
	}
}

// TestSystemInfoFields: the fields are those of the protocol (spec section 3.1).
func TestSystemInfoFields(t *testing.T) {
	const rest = `"schema_version":"1.0","custom_metadata":{}}`
	known := func(goos string) string {
		return `{"device_id":"d","platform":"` + goos + `","os_version":"Linux 1","cpu_count":8,"memory_total_gb":30.73,"hostname":"h","ip_address":"192.0.2.2",`
	}
	for goos, want := range map[string]string{
		"linux":   `"supported_features":["gui","cli","browser","file_system","office","linux_apps"],"platform_type":"computer",`,
		"windows": `"supported_features":["gui","cli","browser","file_system","office","windows_apps"],"platform_type":"computer",`,
		"darwin":  `"supported_features":["gui","cli","browser","file_system","office","macos_apps"],"platform_type":"computer",`,
		"freebsd": `"supported_features":["gui","cli","browser","file_system","office"],"platform_type":"computer",`,
		"android": `"supported_features":["mobile_touch","mobile_apps","camera","gps"],"platform_type":"mobile",`,
		"ios":     `"supported_features":["mobile_touch","mobile_apps","camera","gps"],"platform_type":"mobile",`,
		"wasip1":  `"supported_features":[],"platform_type":"unknown",`,
	} {
		info, err := sources().gather(t.Context(), goos)
		if err != nil {
			t.Fatal(err)
		}
		info.DeviceID = "d"
		if got, want := info.Value().String(), known(goos)+want+rest; got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", goos, got, want)
		}
	}
}

// TestSystemInfoPartial: one failure does not take the rest away.
func TestSystemInfoPartial(t *testing.T) {
	for _, test := range []struct {
		what  string
		fail  func(*systemSources)
		unset func(*messages.SystemInfo)
	}{
		{"processors", func(s *systemSources) { s.cpus = func(context.Context) (int, error) { return 1, io.ErrNoProgress } },
			func(i *messages.SystemInfo) { i.CPUCount = 0 }},
		{"memory", func(s *systemSources) {
			s.memory = func(context.Context) (uint64, error) { return 1, io.ErrNoProgress }
		},
			func(i *messages.SystemInfo) { i.MemoryTotalGB = 0 }},
		{"version", func(s *systemSources) {
			s.version = func(context.Context) (string, error) { return "x", io.ErrNoProgress }
		},
			func(i *messages.SystemInfo) { i.OSVersion = "unknown" }},
		{"host name", func(s *systemSources) { s.hostname = func() (string, error) { return "x", io.ErrNoProgress } },
			func(i *messages.SystemInfo) { i.Hostname = "unknown" }},
		{"address", func(s *systemSources) { s.address = func() (net.IP, error) { return nil, io.ErrNoProgress } },
			func(i *messages.SystemInfo) { i.IPAddress = "unknown" }},
	} {
		want, err := sources().gather(t.Context(), "linux")
		if err != nil {
			t.Fatal(err)
		}
		test.unset(&want)
		broken := sources()
		test.fail(&broken)
		got, err := broken.gather(t.Context(), "linux")
		if got.Value().String() != want.Value().String() {
			t.Errorf("%s: got %+v, want %+v", test.what, got, want)
		}
		if !errors.Is(err, io.ErrNoProgress) || !strings.HasPrefix(err.Error(), "endpoint: system information: "+test.what) {
			t.Errorf("%s: got %v", test.what, err)
		}
	}
}

// TestSystemInfoTime: a source that hangs until its context ends holds nothing
// up, and what was found out before is kept.
func TestSystemInfoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := sources()
		slow.memory = func(ctx context.Context) (uint64, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}
		ctx, cancel := context.WithTimeout(t.Context(), systemInfoTimeout)
		defer cancel()
		start := time.Now()
		info, err := slow.gather(ctx, "linux")
		if took := time.Since(start); took != systemInfoTimeout {
			t.Errorf("it took %s", took)
		}
		if !errors.Is(err, context.DeadlineExceeded) || info.Hostname != "h" || info.CPUCount != 8 || info.MemoryTotalGB != 0 || info.OSVersion != "unknown" {
			t.Errorf("got %+v, %v", info, err)
		}
	})
}

// TestGatherSystemInfoEnded: with an ended context nothing is asked.
func TestGatherSystemInfoEnded(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(io.ErrClosedPipe)
	info, err := GatherSystemInfo(ctx)
	if !errors.Is(err, io.ErrClosedPipe) || info.Hostname != unknownInfo || info.Platform != runtime.GOOS {
		t.Errorf("got %+v, %v", info, err)
	}
}

// TestPrimaryAddress: which address is chosen.
func TestPrimaryAddress(t *testing.T) {
	const up = net.FlagUp | net.FlagRunning
	network := func(index int, flags net.Flags, addresses ...string) []candidateAddress {
		var list []net.Addr
		for _, text := range addresses {
			ip, ipNet, err := net.ParseCIDR(text)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, &net.IPNet{IP: ip, Mask: ipNet.Mask})
		}
		return addressesOf(net.Interface{Index: index, Flags: flags}, list)
	}
	for _, test := range []struct {
		name       string
		candidates [][]candidateAddress
		want       string
	}{
		{"no loopback", [][]candidateAddress{network(1, up|net.FlagLoopback, "10.0.0.1/8")}, ""},
		{"none that is down", [][]candidateAddress{network(1, net.FlagRunning, "10.0.0.1/8")}, ""},
		{"none for the link only", [][]candidateAddress{network(1, up, "169.254.1.1/16", "fe80::1/64", "224.0.0.1/4")}, ""},
		{"the oldest", [][]candidateAddress{network(3, up, "10.0.0.3/8"), network(2, up, "10.0.0.2/8")}, "10.0.0.2"},
		{"the first", [][]candidateAddress{network(2, up, "10.0.0.2/8", "10.0.0.1/8")}, "10.0.0.2"},
		{"IPv4", [][]candidateAddress{network(2, up, "2001:db8::1/64"), network(3, up, "10.0.0.3/8")}, "10.0.0.3"},
		{"IPv6 where nothing else is", [][]candidateAddress{network(2, up, "fe80::1/64", "2001:db8::1/64")}, "2001:db8::1"},
		{"no tunnel", [][]candidateAddress{network(2, up|net.FlagPointToPoint, "10.0.0.2/8"), network(3, up, "2001:db8::1/64")}, "2001:db8::1"},
		{"a tunnel where nothing else is", [][]candidateAddress{network(2, up|net.FlagPointToPoint, "10.0.0.2/8")}, "10.0.0.2"},
		{"a bridge without traffic last", [][]candidateAddress{network(2, net.FlagUp, "172.17.0.1/16"), network(3, up, "10.0.0.3/8")}, "10.0.0.3"},
	} {
		ip, err := chooseAddress(slices.Concat(test.candidates...))
		if test.want == "" {
			if !errors.Is(err, errNoAddress) {
				t.Errorf("%s: got %v, %v", test.name, ip, err)
			}
		} else if err != nil || ip.String() != test.want {
			t.Errorf("%s: got %v, %v; want %s", test.name, ip, err, test.want)
		}
	}
}
