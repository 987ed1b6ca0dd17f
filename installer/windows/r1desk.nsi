; The installer for Windows. Per user: it asks for no administrator and touches only the user's own
; folders and registry.
;
; Paths are absolute, because makensis works in the folder of this script:
;
;   makensis -DVERSION=1.2.3 -DPAYLOAD=C:\r1\dist\r1desk -DICON=C:\r1\build\bundle\icons\r1desk.ico
;            -DOUT=C:\r1\dist\r1desk-1.2.3-windows-setup.exe installer\windows\r1desk.nsi
;
; Silent: setup.exe /S [/DESKTOP] [/GGUF] [/D=C:\folder]     uninstall.exe /S [/DELETEDATA]
; Exit status: 0 done, 1 cancelled, 2 not possible, 3 the application is running.

Unicode true
Target amd64-unicode
ManifestDPIAware true
!ifdef UNCOMPRESSED ; for tests: made in seconds
  SetCompress off
!else
  SetCompressor /SOLID lzma
!endif
RequestExecutionLevel user

!include "MUI2.nsh"
!include "FileFunc.nsh"
!include "LogicLib.nsh"
!include "Sections.nsh"
!include "WinVer.nsh"

!define NAME "R1 Desk"
!define UNINSTALL_KEY "Software\Microsoft\Windows\CurrentVersion\Uninstall\R1Desk"
!define PROGID "R1Desk.gguf"
!define DATA "$LOCALAPPDATA\r1desk" ; where the application keeps conversations and models

Name "${NAME}"
OutFile "${OUT}"
InstallDir "$LOCALAPPDATA\Programs\R1 Desk"
InstallDirRegKey HKCU "${UNINSTALL_KEY}" "InstallLocation"
!ifdef NOTE
  BrandingText "${NAME} ${VERSION}, ${NOTE}"
!else
  BrandingText "${NAME} ${VERSION}"
!endif
VIProductVersion "${VERSION}.0"
VIAddVersionKey "ProductName" "${NAME}"
VIAddVersionKey "ProductVersion" "${VERSION}"
VIAddVersionKey "FileVersion" "${VERSION}"
VIAddVersionKey "FileDescription" "${NAME} setup"
VIAddVersionKey "LegalCopyright" "MIT licence"

!define MUI_ICON "${ICON}"
!define MUI_UNICON "${ICON}"
!define MUI_ABORTWARNING
!define MUI_FINISHPAGE_RUN "$INSTDIR\r1desk.exe"

!insertmacro MUI_PAGE_WELCOME
!insertmacro MUI_PAGE_COMPONENTS
!insertmacro MUI_PAGE_DIRECTORY
!insertmacro MUI_PAGE_INSTFILES
!insertmacro MUI_PAGE_FINISH
!insertmacro MUI_UNPAGE_CONFIRM
!insertmacro MUI_UNPAGE_COMPONENTS
!insertmacro MUI_UNPAGE_INSTFILES

; The system's language is taken; English for any other.
!insertmacro MUI_LANGUAGE "English"
!insertmacro MUI_LANGUAGE "SimpChinese"

LangString APP_SECTION ${LANG_ENGLISH} "R1 Desk"
LangString APP_SECTION ${LANG_SIMPCHINESE} "R1 Desk 主程序"
LangString LINK_SECTION ${LANG_ENGLISH} "Link on the desktop"
LangString LINK_SECTION ${LANG_SIMPCHINESE} "桌面快捷方式"
LangString GGUF_SECTION ${LANG_ENGLISH} "Open GGUF models with R1 Desk"
LangString GGUF_SECTION ${LANG_SIMPCHINESE} "用 R1 Desk 打开 GGUF 模型"
LangString DATA_SECTION ${LANG_ENGLISH} "Also delete my conversations, settings and models"
LangString DATA_SECTION ${LANG_SIMPCHINESE} "同时删除我的对话、设置和模型"
LangString GGUF_TYPE ${LANG_ENGLISH} "GGUF model"
LangString GGUF_TYPE ${LANG_SIMPCHINESE} "GGUF 模型"
LangString RUNNING ${LANG_ENGLISH} "R1 Desk is running. Close its window, then press Retry."
LangString RUNNING ${LANG_SIMPCHINESE} "R1 Desk 正在运行。请先关闭它的窗口，然后点击“重试”。"
LangString OLD_WINDOWS ${LANG_ENGLISH} "R1 Desk needs a 64-bit Windows 10 or newer."
LangString OLD_WINDOWS ${LANG_SIMPCHINESE} "R1 Desk 需要 64 位的 Windows 10 或更新版本。"

; Waits until nobody runs the program in $INSTDIR. A running program's file cannot be written to.
!macro WAIT_UNTIL_CLOSED UN
Function ${UN}WaitUntilClosed
    again:
    ${If} ${FileExists} "$INSTDIR\r1desk.exe"
        ClearErrors
        FileOpen $0 "$INSTDIR\r1desk.exe" a
        ${If} ${Errors}
            SetErrorLevel 3
            MessageBox MB_RETRYCANCEL|MB_ICONEXCLAMATION "$(RUNNING)" /SD IDCANCEL IDRETRY again
            Quit
        ${EndIf}
        FileClose $0
    ${EndIf}
    ${If} ${FileExists} "$INSTDIR\deepseek-r1.exe"
        ClearErrors
        FileOpen $0 "$INSTDIR\deepseek-r1.exe" a
        ${If} ${Errors}
            SetErrorLevel 3
            MessageBox MB_RETRYCANCEL|MB_ICONEXCLAMATION "$(RUNNING)" /SD IDCANCEL IDRETRY again
            Quit
        ${EndIf}
        FileClose $0
    ${EndIf}
FunctionEnd
!macroend
!insertmacro WAIT_UNTIL_CLOSED ""
!insertmacro WAIT_UNTIL_CLOSED "un."

; What an installation put here, and nothing else: a folder `portable`, or files of the user's own,
; stay where they are.
!macro REMOVE_PROGRAM
    RMDir /r "$INSTDIR\_internal"
    RMDir /r "$INSTDIR\licences"
    Delete "$INSTDIR\r1desk.exe"
    Delete "$INSTDIR\deepseek-r1.exe"
    Delete "$INSTDIR\uninstall.exe"
!macroend

Section "$(APP_SECTION)" SECTION_APP
    SectionIn RO
    Call WaitUntilClosed
    !insertmacro REMOVE_PROGRAM ; no file of an older version stays among the new ones
    SetOutPath "$INSTDIR"
    File /r "${PAYLOAD}/*.*"
    WriteUninstaller "$INSTDIR\uninstall.exe"
    CreateShortCut "$SMPROGRAMS\R1 Desk.lnk" "$INSTDIR\r1desk.exe"
    WriteRegStr HKCU "${UNINSTALL_KEY}" "DisplayName" "${NAME}"
    WriteRegStr HKCU "${UNINSTALL_KEY}" "DisplayVersion" "${VERSION}"
    WriteRegStr HKCU "${UNINSTALL_KEY}" "DisplayIcon" "$INSTDIR\r1desk.exe"
    WriteRegStr HKCU "${UNINSTALL_KEY}" "Publisher" "The R1 Desk authors"
    WriteRegStr HKCU "${UNINSTALL_KEY}" "InstallLocation" "$INSTDIR"
    WriteRegStr HKCU "${UNINSTALL_KEY}" "UninstallString" '"$INSTDIR\uninstall.exe"'
    WriteRegStr HKCU "${UNINSTALL_KEY}" "QuietUninstallString" '"$INSTDIR\uninstall.exe" /S'
    WriteRegDWORD HKCU "${UNINSTALL_KEY}" "NoModify" 1
    WriteRegDWORD HKCU "${UNINSTALL_KEY}" "NoRepair" 1
    ${GetSize} "$INSTDIR" "/S=0K" $0 $1 $2
    WriteRegDWORD HKCU "${UNINSTALL_KEY}" "EstimatedSize" $0
SectionEnd

Section /o "$(LINK_SECTION)" SECTION_LINK
    CreateShortCut "$DESKTOP\R1 Desk.lnk" "$INSTDIR\r1desk.exe"
SectionEnd

Section /o "$(GGUF_SECTION)" SECTION_GGUF
    ; Offered beside the user's own choice, never instead of it. Where no program is registered for
    ; the type, a double click starts R1 Desk.
    WriteRegStr HKCU "Software\Classes\.gguf\OpenWithProgids" "${PROGID}" ""
    ReadRegStr $0 HKCR ".gguf" ""
    ${If} $0 == ""
        WriteRegStr HKCU "Software\Classes\.gguf" "" "${PROGID}"
    ${EndIf}
    WriteRegStr HKCU "Software\Classes\${PROGID}" "" "$(GGUF_TYPE)"
    WriteRegStr HKCU "Software\Classes\${PROGID}\DefaultIcon" "" "$INSTDIR\r1desk.exe,0"
    WriteRegStr HKCU "Software\Classes\${PROGID}\shell\open\command" "" '"$INSTDIR\r1desk.exe" "%1"'
    System::Call 'shell32::SHChangeNotify(i 0x08000000, i 0, p 0, p 0)'
SectionEnd

Section "un.$(APP_SECTION)"
    SectionIn RO
    Call un.WaitUntilClosed
    !insertmacro REMOVE_PROGRAM
    RMDir "$INSTDIR" ; only when nothing else is in it
    Delete "$SMPROGRAMS\R1 Desk.lnk"
    Delete "$DESKTOP\R1 Desk.lnk"
    DeleteRegValue HKCU "Software\Classes\.gguf\OpenWithProgids" "${PROGID}"
    DeleteRegKey /ifempty HKCU "Software\Classes\.gguf\OpenWithProgids"
    ReadRegStr $0 HKCU "Software\Classes\.gguf" ""
    ${If} $0 == "${PROGID}"
        DeleteRegValue HKCU "Software\Classes\.gguf" ""
    ${EndIf}
    DeleteRegKey /ifempty HKCU "Software\Classes\.gguf"
    DeleteRegKey HKCU "Software\Classes\${PROGID}"
    DeleteRegKey HKCU "${UNINSTALL_KEY}"
    System::Call 'shell32::SHChangeNotify(i 0x08000000, i 0, p 0, p 0)'
SectionEnd

Section /o "un.$(DATA_SECTION)" SECTION_DATA
    RMDir /r "${DATA}"
SectionEnd

Function .onInit
    ${IfNot} ${AtLeastWin10}
        MessageBox MB_OK|MB_ICONSTOP "$(OLD_WINDOWS)" /SD IDOK
        SetErrorLevel 2
        Quit
    ${EndIf}
    ${GetParameters} $0
    ClearErrors
    ${GetOptions} $0 "/DESKTOP" $1
    ${IfNot} ${Errors}
        !insertmacro SelectSection ${SECTION_LINK}
    ${EndIf}
    ClearErrors
    ${GetOptions} $0 "/GGUF" $1
    ${IfNot} ${Errors}
        !insertmacro SelectSection ${SECTION_GGUF}
    ${EndIf}
FunctionEnd

Function un.onInit
    ${GetParameters} $0
    ClearErrors
    ${GetOptions} $0 "/DELETEDATA" $1
    ${IfNot} ${Errors}
        !insertmacro SelectSection ${SECTION_DATA}
    ${EndIf}
FunctionEnd
