// The program of R1 Desk.app: starts Python in this process, so that the Dock has the bundle's name.
//
// interpreter.sh, among the bundle's resources, prints the path of the interpreter. Its library is
// opened from there. Child processes are started with the interpreter itself (sys.executable).
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __APPLE__
#include <mach-o/dyld.h>
#endif

enum { OPTIONS = 6, EXIT_FAILED = 1 };

// The path of this program without its last two parts: the bundle's Contents.
static int find_contents(char *path) {
    char given[PATH_MAX] = "/proc/self/exe";
#ifdef __APPLE__
    uint32_t size = sizeof given;
    if (_NSGetExecutablePath(given, &size) != 0) return 0;
#endif
    if (realpath(given, path) == NULL) return 0;
    for (int part = 0; part < 2; part++) *strrchr(path, '/') = 0;
    return 1;
}

// What interpreter.sh prints; nothing where the user declined or Python could not be fetched.
static int find_interpreter(char *path, int size) {
    FILE *answer = popen("exec /bin/sh \"$R1DESK_RESOURCES/interpreter.sh\"", "r");
    if (answer == NULL) return 0;
    int found = fgets(path, size, answer) != NULL;
    if (pclose(answer) != 0 || !found) return 0;
    path[strcspn(path, "\n")] = 0;
    return strstr(path, "/bin/") != NULL;
}

int main(int count, char **arguments) {
    char contents[PATH_MAX], python[PATH_MAX], place[PATH_MAX + 32];
    if (!find_contents(contents)) return EXIT_FAILED;
    snprintf(place, sizeof place, "%s/Resources", contents);
    setenv("R1DESK_RESOURCES", place, 1);
    if (!find_interpreter(python, sizeof python)) return EXIT_FAILED;
    strcat(place, "/app");
    setenv("PYTHONPATH", place, 1);
    setenv("PYTHONEXECUTABLE", python, 1);  // on macOS Python does not take it from its arguments
    snprintf(place, sizeof place, "%s/Library/Caches/r1desk/bytecode", getenv("HOME"));
    setenv("PYTHONPYCACHEPREFIX", place, 1);  // a file in the bundle would break its signature

    *strstr(strcpy(place, python), "/bin/") = 0;
    strcat(place, "/lib/libpython3.13.dylib");
    void *library = dlopen(place, RTLD_NOW | RTLD_GLOBAL);
    int (*run)(int, char **) = NULL;
    if (library != NULL) *(void **)&run = dlsym(library, "Py_BytesMain");
    if (run == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return EXIT_FAILED;
    }
    char **passed = calloc(OPTIONS + count + 1, sizeof *passed);
    char *options[OPTIONS] = {python, "-P", "-X", "utf8", "-m", "r1desk"};
    memcpy(passed, options, sizeof options);
    memcpy(passed + OPTIONS, arguments + 1, count * sizeof *passed);  // with the NULL at its end
    return run(OPTIONS + count - 1, passed);
}
