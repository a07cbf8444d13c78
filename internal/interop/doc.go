// Package interop has the tests that run this SDK's endpoints against programs
// in Python, on the libraries and versions that the reference uses: websockets,
// FastAPI, uvicorn and pydantic. The programs in testdata were written after
// the specification (docs/wire.md); they behave as the reference's device
// client, its Galaxy client and its server do, oddities included.
//
// The libraries are in the folder .python beside this file, where "make python"
// installs them; "make test" does that first. README.md lists the lines of the
// specification's checklists with their tests.
package interop
