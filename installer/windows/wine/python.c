/* python.exe and pythonw.exe: CPython's own main function, from its library. */
#include <windows.h>
#include <stdlib.h>
__declspec(dllimport) int Py_Main(int argc, wchar_t **argv);
#ifdef WITHOUT_CONSOLE
int WINAPI wWinMain(HINSTANCE instance, HINSTANCE before, LPWSTR line, int shown) {
    (void)instance, (void)before, (void)line, (void)shown;
    return Py_Main(__argc, __wargv);
}
#else
int wmain(int argc, wchar_t **argv) { return Py_Main(argc, argv); }
#endif
