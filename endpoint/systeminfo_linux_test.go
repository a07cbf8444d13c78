package endpoint

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestGatherSystemInfoLinux: the numbers are those of the kernel.
func TestGatherSystemInfoLinux(t *testing.T) {
	info, _ := GatherSystemInfo(t.Context()) // TestGatherSystemInfo checks the error
	cpus, err := os.ReadFile("/proc/stat")
	if err != nil {
		t.Fatal(err)
	}
	count := int64(0)
	for line := range strings.Lines(string(cpus)) {
		if name, _, _ := strings.Cut(line, " "); strings.HasPrefix(name, "cpu") && name != "cpu" {
			count++
		}
	}
	if info.CPUCount != count {
		t.Errorf("%d processors, want %d", info.CPUCount, count)
	}
	memory, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(memory), "MemTotal:")
	kilobytes, err := strconv.ParseFloat(strings.Fields(after)[0], 64)
	if err != nil {
		t.Fatal(err)
	}
	if want := kilobytes / (1 << 20); math.Abs(info.MemoryTotalGB-want) > 0.001 {
		t.Errorf("%f GB, want %f", info.MemoryTotalGB, want)
	}
	host, err := os.ReadFile("/proc/sys/kernel/hostname")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := info.Hostname, strings.TrimSpace(string(host)); got != want {
		t.Errorf("host %q, want %q", got, want)
	}
}

// TestOSRelease: the version comes from the first file that tells it.
func TestOSRelease(t *testing.T) {
	write := func(text string) string {
		path := filepath.Join(t.TempDir(), "os-release")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	absent := filepath.Join(t.TempDir(), "absent")
	pretty := write("# comment\nNAME=\"Debian GNU/Linux\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n")
	for _, test := range []struct {
		paths []string
		want  string
	}{
		{[]string{pretty}, "Debian GNU/Linux 12 (bookworm)"},
		{[]string{absent, pretty}, "Debian GNU/Linux 12 (bookworm)"},
		{[]string{write("nothing\n"), write("NAME='Alpine Linux'\nVERSION=3\n")}, "Alpine Linux 3"},
		{[]string{write("NAME=Arch")}, "Arch"},
	} {
		if got, err := readOSRelease(test.paths...); err != nil || got != test.want {
			t.Errorf("got %q, %v; want %q", got, err, test.want)
		}
	}
	if got, err := readOSRelease(absent, write("")); !errors.Is(err, os.ErrNotExist) || got != "" {
		t.Errorf("got %q, %v", got, err)
	}
}
