package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/mem"

	"github.com/aip-go/aip/messages"
)

// systemInfoTimeout bounds [GatherSystemInfo].
const systemInfoTimeout = 2 * time.Second

// unknownInfo stands for a text that could not be found out.
const unknownInfo = "unknown"

// GatherSystemInfo finds out what a device says about itself when it registers
// (spec section 3.1): the name and the version of the operating system, its
// processors, its memory in units of 2^30 bytes, the name and the address of
// the host, and what kind of platform it is. The DeviceID is left for the
// caller to set.
//
// The SupportedFeatures are the words that the protocol has for such a system;
// they do not say what this one can do. Set others where that matters.
//
// It takes two seconds at most, less if ctx ends, and asks this machine only:
// the address is that of a network interface, chosen without a connection. What
// it cannot find out is "unknown" or 0, and the errors of that are joined; the
// rest is valid even so. Nothing is kept between calls.
func GatherSystemInfo(ctx context.Context) (messages.SystemInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, systemInfoTimeout)
	defer cancel()
	return systemSources{
		cpus:     func(ctx context.Context) (int, error) { return cpu.CountsWithContext(ctx, true) },
		memory:   totalMemory,
		version:  osVersion,
		hostname: os.Hostname,
		address:  primaryAddress,
	}.gather(ctx, runtime.GOOS)
}

// systemSources are where the information comes from.
type systemSources struct {
	cpus     func(context.Context) (int, error)
	memory   func(context.Context) (uint64, error) // bytes
	version  func(context.Context) (string, error)
	hostname func() (string, error)
	address  func() (net.IP, error)
}

func totalMemory(ctx context.Context) (uint64, error) {
	memory, err := mem.VirtualMemoryWithContext(ctx)
	if err != nil {
		return 0, err
	}
	return memory.Total, nil
}

// gather asks the sources, until ctx ends.
func (s systemSources) gather(ctx context.Context, goos string) (messages.SystemInfo, error) {
	info := messages.SystemInfo{
		Platform: goos, OSVersion: unknownInfo, Hostname: unknownInfo, IPAddress: unknownInfo,
		PlatformType: platformType(goos), SupportedFeatures: features(goos), SchemaVersion: messages.SystemInfoSchemaVersion,
	}
	var errs []error
	for _, source := range []struct {
		what string
		ask  func() error
	}{
		{"host name", func() error {
			name, err := s.hostname()
			if err == nil && name != "" {
				info.Hostname = name
			}
			return err
		}},
		{"processors", func() error {
			n, err := s.cpus(ctx)
			if err == nil {
				info.CPUCount = int64(n)
			}
			return err
		}},
		{"memory", func() error {
			n, err := s.memory(ctx)
			if err == nil {
				info.MemoryTotalGB = float64(n) / (1 << 30)
			}
			return err
		}},
		{"address", func() error {
			ip, err := s.address()
			if err == nil {
				info.IPAddress = ip.String()
			}
			return err
		}},
		{"version of the operating system", func() error {
			version, err := s.version(ctx)
			if err == nil && version != "" {
				info.OSVersion = version
			}
			return err
		}},
	} {
		err := context.Cause(ctx)
		if err == nil {
			err = source.ask()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("endpoint: system information: %s: %w", source.what, err))
		}
	}
	return info, errors.Join(errs...)
}

// platformType returns the platform type of an operating system, named as
// [runtime.GOOS] does.
func platformType(goos string) string {
	switch goos {
	case "android", "ios":
		return "mobile"
	case "js", "wasip1":
		return unknownInfo
	default:
		return "computer"
	}
}

// features returns the words of the protocol for an operating system.
func features(goos string) []string {
	desktop := []string{"gui", "cli", "browser", "file_system", "office"}
	switch platformType(goos) {
	case "mobile":
		return []string{"mobile_touch", "mobile_apps", "camera", "gps"}
	case unknownInfo:
		return nil
	}
	switch goos {
	case "windows":
		return append(desktop, "windows_apps")
	case "linux":
		return append(desktop, "linux_apps")
	case "darwin":
		return append(desktop, "macos_apps")
	default:
		return desktop
	}
}
