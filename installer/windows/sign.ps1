# Signs programs with Authenticode, where there is a certificate in the environment:
#
#     installer\windows\sign.ps1 FILE…
#
# WINDOWS_CERTIFICATE is the base64 of a .pfx, WINDOWS_CERTIFICATE_PASSWORD its password.
param([Parameter(Mandatory, ValueFromRemainingArguments)][string[]]$Files)
$ErrorActionPreference = "Stop"

if (-not $env:WINDOWS_CERTIFICATE) {
    Write-Warning "not signed: WINDOWS_CERTIFICATE is not set"
    exit 0
}
$key = Join-Path ([IO.Path]::GetTempPath()) "$([guid]::NewGuid()).pfx"
try {
    [IO.File]::WriteAllBytes($key, [Convert]::FromBase64String($env:WINDOWS_CERTIFICATE))
    $kits = "${env:ProgramFiles(x86)}\Windows Kits\10\bin\*\x64\signtool.exe"
    $tool = Get-ChildItem $kits | Sort-Object FullName | Select-Object -Last 1
    & $tool.FullName sign /fd SHA256 /tr "http://timestamp.digicert.com" /td SHA256 `
        /f $key /p $env:WINDOWS_CERTIFICATE_PASSWORD $Files
    if ($LASTEXITCODE -ne 0) { throw "signtool ended with $LASTEXITCODE" }
} finally {
    Remove-Item -Force -ErrorAction SilentlyContinue $key
}
