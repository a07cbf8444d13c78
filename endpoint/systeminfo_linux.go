package endpoint

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/shirou/gopsutil/v4/host"
)

// osVersion returns the name and the version of the distribution, or else of
// the kernel. The library would start lsb_release, and wait for it longer than
// [GatherSystemInfo] may take.
func osVersion(ctx context.Context) (string, error) {
	name, err := readOSRelease("/etc/os-release", "/usr/lib/os-release")
	if err == nil {
		return name, nil
	}
	kernel, kernelErr := host.KernelVersionWithContext(ctx)
	if kernelErr != nil {
		return "", errors.Join(err, kernelErr)
	}
	return "Linux " + kernel, nil
}

// readOSRelease returns the name of the system from the first of the files that
// there is (os-release(5)).
func readOSRelease(paths ...string) (string, error) {
	var errs []error
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		name := parseOSRelease(io.LimitReader(file, 64<<10))
		if err := file.Close(); err != nil {
			errs = append(errs, err)
		}
		if name != "" {
			return name, nil
		}
	}
	return "", errors.Join(append(errs, errors.New("no file says which system this is"))...)
}

// parseOSRelease returns the PRETTY_NAME, or the NAME and the VERSION.
func parseOSRelease(file io.Reader) string {
	values := map[string]string{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if key, value, ok := strings.Cut(strings.TrimSpace(lines.Text()), "="); ok {
			values[key] = strings.Trim(value, `"'`)
		}
	}
	if name := values["PRETTY_NAME"]; name != "" {
		return name
	}
	return strings.TrimSpace(values["NAME"] + " " + values["VERSION"])
}
