package protocol

import (
	"mime"
	"path"
	"strings"
)

// mimeTypes are the types of common files. They come before the tables of the
// operating system, so that a file has the same type wherever it is sent from.
var mimeTypes = map[string]string{
	".7z":   "application/x-7z-compressed",
	".bin":  "application/octet-stream",
	".bmp":  "image/bmp",
	".css":  "text/css",
	".csv":  "text/csv",
	".doc":  "application/msword",
	".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	".exe":  "application/octet-stream",
	".gif":  "image/gif",
	".gz":   "application/gzip",
	".htm":  "text/html",
	".html": "text/html",
	".ico":  "image/vnd.microsoft.icon",
	".jpeg": "image/jpeg",
	".jpg":  "image/jpeg",
	".js":   "text/javascript",
	".json": "application/json",
	".md":   "text/markdown",
	".mov":  "video/quicktime",
	".mp3":  "audio/mpeg",
	".mp4":  "video/mp4",
	".mpeg": "video/mpeg",
	".pdf":  "application/pdf",
	".png":  "image/png",
	".ppt":  "application/vnd.ms-powerpoint",
	".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
	".py":   "text/x-python",
	".sh":   "application/x-sh",
	".svg":  "image/svg+xml",
	".tar":  "application/x-tar",
	".tiff": "image/tiff",
	".txt":  "text/plain",
	".wav":  "audio/x-wav",
	".webm": "video/webm",
	".webp": "image/webp",
	".xls":  "application/vnd.ms-excel",
	".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	".xml":  "text/xml",
	".zip":  "application/zip",
}

// mimeType returns the type of a file by its name's extension, without
// parameters; "" if it is unknown.
func mimeType(name string) string {
	extension := strings.ToLower(path.Ext(name))
	if known, ok := mimeTypes[extension]; ok {
		return known
	}
	found, _, _ := strings.Cut(mime.TypeByExtension(extension), ";")
	return strings.TrimSpace(found)
}
