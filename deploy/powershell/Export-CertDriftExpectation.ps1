<#
.SYNOPSIS
Writes the exports that certdrift reads: what Exchange Online expects, and what the Exchange servers are set up with.

.DESCRIPTION
Writes up to four files into the folder -Path:

  inbound-connectors.json   Get-InboundConnector      Exchange Online
  accepted-domains.json     Get-AcceptedDomain        Exchange Online
  send-connectors.json      Get-SendConnector         Exchange Server
  certificates.json         Get-ExchangeCertificate   Exchange Server, of every transport server

It only reads (Get-* cmdlets), and it writes only what certdrift uses. Of a certificate that is the public part; private
keys are never touched.

Every file is first written beside its place and then put there in one go, as UTF-8 without byte order mark, so that
certdrift never sees half a file. A query that fails or finds nothing leaves the old file as it is; so does one server
of several that cannot be asked for its certificates. certdrift sees the file grow old and says so (alert
ExpectationStale).

Without -Cloud and -OnPremises the script writes what it can with the cmdlets that are at hand, and says what it left
out. The two halves can run on different machines and at different times.

Rights that are enough:

  Exchange Server   the role group "View-Only Organization Management"
  Exchange Online   the management role "View-Only Configuration". README.md beside this file shows how an
                    application gets it.

Exit codes: 0, everything that was asked for was written; 1, something was not, see the warnings; 2, the parameters do
not fit, and nothing was done.

Windows PowerShell 5.1 and PowerShell 7.

.PARAMETER Path
The folder for the files. It has to exist: a misspelled folder would be one that nobody reads.

.PARAMETER Cloud
Write inbound-connectors.json and accepted-domains.json, and fail if that is not possible. Uses the connection to
Exchange Online that is there, or makes one if -AppId, -CertificateThumbprint and -Organization are given.

.PARAMETER OnPremises
Write send-connectors.json and certificates.json, and fail if that is not possible. Run it in the Exchange Management
Shell, or anywhere with -ExchangeServer.

.PARAMETER AppId
The application's id (client id) in Entra ID, to connect to Exchange Online with nobody present.

.PARAMETER CertificateThumbprint
The thumbprint of the certificate with which the application signs in. It has to be in the personal certificate store
(Cert:\CurrentUser\My) of the account that runs the script. It has nothing to do with mail.

.PARAMETER Organization
The tenant's primary onmicrosoft.com domain.

.PARAMETER ExchangeServer
An Exchange server to connect to by remote PowerShell (Kerberos, as the account that runs the script), when the script
does not run in the Exchange Management Shell. Where the cmdlets are there already, they are used.

.PARAMETER Server
The transport servers whose certificates are exported. Default: all that Get-TransportService names. Use it to leave out
Edge Transport servers, which can only be asked locally.

.EXAMPLE
.\Export-CertDriftExpectation.ps1 -Path C:\certdrift\exports

In the Exchange Management Shell: writes the on-premises half, and the cloud half if Connect-ExchangeOnline was run
before.

.EXAMPLE
.\Export-CertDriftExpectation.ps1 -Path \\monitor\certdrift-exports -Cloud -AppId 11111111-2222-3333-4444-555555555555 -CertificateThumbprint 0123456789ABCDEF0123456789ABCDEF01234567 -Organization contoso.onmicrosoft.com

The cloud half with nobody present. Needs the module ExchangeOnlineManagement, version 3 or newer.

.EXAMPLE
.\Export-CertDriftExpectation.ps1 -Path C:\certdrift\exports -OnPremises -ExchangeServer ex01.contoso.com -Server EX01,EX02

The on-premises half from any domain member, for two servers.

.EXAMPLE
$run = New-ScheduledTaskAction -Execute powershell.exe -Argument '-NoProfile -NonInteractive -ExecutionPolicy RemoteSigned -File C:\certdrift\Export-CertDriftExpectation.ps1 -Path C:\certdrift\exports -OnPremises -ExchangeServer ex01.contoso.com'
$hourly = New-ScheduledTaskTrigger -Once -At (Get-Date) -RepetitionInterval (New-TimeSpan -Hours 1)
$account = New-ScheduledTaskPrincipal -UserId 'CONTOSO\certdrift$' -LogonType Password
Register-ScheduledTask -TaskName 'certdrift exports' -Action $run -Trigger $hourly -Principal $account

Every hour, as the group managed service account CONTOSO\certdrift$. Use -File, not -Command: only with -File the exit
code reaches the task's "Last Run Result".
#>
[CmdletBinding()]
param(
    [Parameter(Mandatory = $true, Position = 0)]
    [ValidateNotNullOrEmpty()]
    [string] $Path,

    [switch] $Cloud,

    [switch] $OnPremises,

    [string] $AppId,

    [string] $CertificateThumbprint,

    [string] $Organization,

    [string] $ExchangeServer,

    [string[]] $Server
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

# What certdrift reads. A property that an object does not have is left out, because certdrift takes an absent one as
# unknown.
$InboundConnectorProperties = @{
    Word = @('Name', 'Guid', 'ConnectorType', 'TlsSenderCertificateName')
    Flag = @('Enabled', 'RequireTls', 'RestrictDomainsToCertificate', 'RestrictDomainsToIPAddresses',
        'CloudServicesMailEnabled')
    List = @('SenderIPAddresses', 'SenderDomains', 'AssociatedAcceptedDomains')
    Utc  = @('WhenChangedUTC')
}
$AcceptedDomainProperties = @{
    Word = @('DomainName', 'DomainType')
    Flag = @('MatchSubDomains')
    List = @()
    Utc  = @()
}
$SendConnectorProperties = @{
    Word = @('Name', 'Guid', 'TlsCertificateName', 'Fqdn', 'ProtocolLoggingLevel', 'TlsAuthLevel', 'TlsDomain')
    Flag = @('Enabled', 'RequireTLS', 'FrontendProxyEnabled', 'CloudServicesMailEnabled')
    List = @('SmartHosts', 'AddressSpaces', 'SourceTransportServers')
    Utc  = @('WhenChangedUTC')
}
$CertificateProperties = @{
    Word = @('Thumbprint', 'Subject', 'Issuer', 'SerialNumber', 'Services', 'Status')
    Flag = @()
    List = @('CertificateDomains')
    Utc  = @()
}

# The prefix keeps the cmdlets of our own connection apart from those of the Exchange Management Shell:
# both know a Get-AcceptedDomain.
$CloudPrefix = 'CertDrift'

$script:Written = @()
$script:Problems = @()

function Add-Problem {
    param([string] $Text)
    $script:Problems += $Text
    Write-Warning $Text
}

function Get-PropertyValue {
    param($InputObject, [string] $Name)
    $property = $InputObject.PSObject.Properties[$Name]
    if ($null -ne $property) { $property.Value }
}

# The text of a value: enums as words, addresses and identities as Exchange prints them.
function ConvertTo-Word {
    param($Value)
    if ($null -eq $Value) { return }
    $text = $Value.ToString()
    # An enum that came over a remote session can be a number that carries its word along.
    if ($text -match '^-?\d+$' -and $Value -isnot [string]) {
        $word = Get-PropertyValue $Value 'Value'
        if ($null -ne $word) { $text = $word.ToString() }
    }
    $text
}

# The short name of an item of a list: servers are identities, which carry a name of their own.
function ConvertTo-ItemWord {
    param($Value)
    if ($null -eq $Value) { return }
    if ($Value -isnot [string]) {
        $name = Get-PropertyValue $Value 'Name'
        if ($name -is [string] -and $name -ne '') { return $name }
    }
    ConvertTo-Word $Value
}

function ConvertTo-IsoText {
    param([datetime] $Value)
    $Value.ToUniversalTime().ToString('yyyy-MM-ddTHH:mm:ssZ', [System.Globalization.CultureInfo]::InvariantCulture)
}

# A property whose name says UTC: a time without a zone is already UTC. Nothing, if it is no time.
function ConvertTo-UtcText {
    param($Value)
    if ($Value -is [datetime]) {
        if ($Value.Kind -eq [System.DateTimeKind]::Unspecified) {
            $Value = [datetime]::SpecifyKind($Value, [System.DateTimeKind]::Utc)
        }
        return ConvertTo-IsoText $Value
    }
    $culture = [System.Globalization.CultureInfo]::InvariantCulture
    $styles = [System.Globalization.DateTimeStyles]::AssumeUniversal -bor [System.Globalization.DateTimeStyles]::AdjustToUniversal
    $time = [datetime]::MinValue
    if ([datetime]::TryParse([string] $Value, $culture, $styles, [ref] $time)) {
        ConvertTo-IsoText $time
    }
}

# Picks the wanted properties of one object, in a fixed order, as plain text, flags and lists of text.
function Select-Wanted {
    param($InputObject, [hashtable] $Wanted)
    $entry = [ordered] @{}
    foreach ($name in $Wanted.Word) {
        $property = $InputObject.PSObject.Properties[$name]
        if ($null -eq $property) { continue }
        $word = ConvertTo-Word $property.Value
        if ([string]::IsNullOrEmpty($word)) { $entry[$name] = $null } else { $entry[$name] = [string] $word }
    }
    foreach ($name in $Wanted.Flag) {
        $value = Get-PropertyValue $InputObject $name
        if ($value -is [bool]) {
            $entry[$name] = [bool] $value
        } elseif ($value -is [string] -and $value -match '^(true|false)$') {
            $entry[$name] = ($value -eq 'true')
        }
    }
    foreach ($name in $Wanted.List) {
        $property = $InputObject.PSObject.Properties[$name]
        if ($null -eq $property) { continue }
        $items = @($property.Value | ForEach-Object { ConvertTo-ItemWord $_ } | Where-Object { $_ })
        $entry[$name] = [string[]] $items
    }
    foreach ($name in $Wanted.Utc) {
        $value = Get-PropertyValue $InputObject $name
        if ($null -eq $value) { continue }
        $text = ConvertTo-UtcText $value
        if ($text) { $entry[$name] = [string] $text }
    }
    $entry
}

# The public certificate as bytes. Remote sessions hand over a property list in place of the certificate; its RawData
# is mostly there. If it is not, and the server is this computer, the certificate store has it.
function Get-CertificateBytes {
    param($Certificate, [string] $ServerName)
    $raw = Get-PropertyValue $Certificate 'RawData'
    if ($null -eq $raw -and $Certificate -is [System.Security.Cryptography.X509Certificates.X509Certificate]) {
        $raw = $Certificate.GetRawCertData()
    }
    if ($raw -is [string] -and $raw -ne '') {
        try { $raw = [System.Convert]::FromBase64String($raw) } catch { $raw = $null }
    }
    if ($null -eq $raw -and $ServerName -eq $env:COMPUTERNAME) {
        $thumbprint = [string] (Get-PropertyValue $Certificate 'Thumbprint')
        $place = 'Cert:\LocalMachine\My\' + $thumbprint
        if ($thumbprint -match '^[0-9A-Fa-f]{40}$' -and (Test-Path -LiteralPath $place)) {
            $raw = (Get-Item -LiteralPath $place).RawData
        }
    }
    if ($null -eq $raw) { return }
    # The comma keeps PowerShell from taking the bytes apart.
    , ([byte[]] $raw)
}

function ConvertTo-CertificateEntry {
    param($Certificate, [string] $ServerName)
    $entry = [ordered] @{}
    $entry['Server'] = $ServerName
    $wanted = Select-Wanted $Certificate $CertificateProperties
    foreach ($name in @($wanted.Keys)) { $entry[$name] = $wanted[$name] }

    $parsed = $null
    try {
        $raw = Get-CertificateBytes $Certificate $ServerName
        if ($null -ne $raw) {
            $parsed = [System.Security.Cryptography.X509Certificates.X509Certificate2]::new([byte[]] $raw)
        }
    } catch {
        Add-Problem "A certificate of $ServerName cannot be read and is written without its bytes: $($_.Exception.Message)"
    }
    if ($null -eq $parsed) {
        # Without the bytes certdrift has to believe these texts.
        foreach ($name in @('NotBefore', 'NotAfter')) {
            $value = Get-PropertyValue $Certificate $name
            if ($value -is [datetime]) { $entry[$name] = ConvertTo-IsoText $value }
        }
    } else {
        foreach ($name in @('Thumbprint', 'Subject', 'Issuer', 'SerialNumber')) {
            if (-not $entry.Contains($name) -or $null -eq $entry[$name]) {
                $entry[$name] = [string] $parsed.$name
            }
        }
        $entry['NotBefore'] = ConvertTo-IsoText $parsed.NotBefore
        $entry['NotAfter'] = ConvertTo-IsoText $parsed.NotAfter
        $entry['RawData'] = [System.Convert]::ToBase64String($parsed.RawData)
        $parsed.Dispose()
    }
    $entry
}

# Puts a file in place in one step. Move-Item -Force deletes the old file first, which leaves a moment without any, so
# it is only the second choice, where the file system cannot replace.
function Set-FileInOneStep {
    param([string] $Target, [string] $Text)
    $beside = '{0}.{1}.tmp' -f $Target, [guid]::NewGuid().ToString('N')
    $encoding = New-Object System.Text.UTF8Encoding -ArgumentList $false
    try {
        [System.IO.File]::WriteAllText($beside, $Text, $encoding)
        $done = $false
        if ([System.IO.File]::Exists($Target)) {
            try {
                # A plain $null would reach .NET as an empty file name.
                [System.IO.File]::Replace($beside, $Target, [NullString]::Value)
                $done = $true
            } catch {
                Write-Verbose "Replacing $Target in one step failed, moving instead: $($_.Exception.Message)"
            }
        }
        if (-not $done) { Move-Item -LiteralPath $beside -Destination $Target -Force }
    } finally {
        if ([System.IO.File]::Exists($beside)) { Remove-Item -LiteralPath $beside -Force -ErrorAction SilentlyContinue }
    }
}

function Write-Export {
    param([string] $FileName, [object[]] $Entries, [string] $Source)
    if ($null -eq $Entries -or $Entries.Count -eq 0) {
        Add-Problem "$FileName was not written: $Source found nothing. The old file stays. Does the account have the right to read this?"
        return
    }
    # As an argument, not through the pipeline: one object is to be a list of one in Windows PowerShell too.
    $json = ConvertTo-Json -InputObject ([object[]] $Entries) -Depth 4
    $target = Join-Path -Path $Folder -ChildPath $FileName
    try {
        Set-FileInOneStep $target ($json + "`n")
        $script:Written += '{0}: {1} objects' -f $target, $Entries.Count
    } catch {
        Add-Problem "$FileName was not written: $($_.Exception.Message). The old file stays."
    }
}

# The two cmdlets of one connection to Exchange Online, or nothing. Get-InboundConnector exists nowhere else, so its
# module tells which Get-AcceptedDomain is the cloud's.
function Find-CloudCommand {
    param([string] $Prefix)
    $inbound = Get-Command -Name ('Get-{0}InboundConnector' -f $Prefix) -ErrorAction SilentlyContinue | Select-Object -First 1
    if ($null -eq $inbound) { return }
    $name = 'Get-{0}AcceptedDomain' -f $Prefix
    if ($inbound.ModuleName) { $name = '{0}\{1}' -f $inbound.ModuleName, $name }
    $domain = Get-Command -Name $name -ErrorAction SilentlyContinue | Select-Object -First 1
    if ($null -eq $domain) { return }
    @{ Inbound = $inbound; Domain = $domain }
}

# All results: some cmdlets stop after the first thousand by themselves.
function Invoke-CloudCommand {
    param($Command)
    $options = @{ ErrorAction = 'Stop' }
    if ($Command.Parameters.ContainsKey('ResultSize')) { $options['ResultSize'] = 'Unlimited' }
    & $Command @options
}

function Connect-Cloud {
    if ($null -eq (Get-Command -Name Connect-ExchangeOnline -ErrorAction SilentlyContinue)) {
        throw 'The module ExchangeOnlineManagement is missing. Install it: Install-Module ExchangeOnlineManagement'
    }
    $connection = @{
        AppId                 = $AppId
        CertificateThumbprint = $CertificateThumbprint
        Organization          = $Organization
        Prefix                = $CloudPrefix
        CommandName           = @('Get-InboundConnector', 'Get-AcceptedDomain')
        ShowBanner            = $false
        ErrorAction           = 'Stop'
    }
    Connect-ExchangeOnline @connection | Out-Null
}

function Export-CloudHalf {
    $prefix = ''
    $isOwn = $false
    try {
        if ($AppId) {
            Connect-Cloud
            $prefix = $CloudPrefix
            $isOwn = $true
        }
        $commands = Find-CloudCommand $prefix
        if ($null -eq $commands) {
            throw 'Get-InboundConnector and Get-AcceptedDomain of Exchange Online are not available. Run Connect-ExchangeOnline before, or give -AppId, -CertificateThumbprint and -Organization'
        }
        try {
            $found = @(Invoke-CloudCommand $commands.Inbound)
            $entries = @($found | ForEach-Object { Select-Wanted $_ $InboundConnectorProperties })
            Write-Export 'inbound-connectors.json' $entries 'Get-InboundConnector'
        } catch {
            Add-Problem "inbound-connectors.json was not written: $($_.Exception.Message). The old file stays."
        }
        try {
            $found = @(Invoke-CloudCommand $commands.Domain)
            $entries = @($found | ForEach-Object { Select-Wanted $_ $AcceptedDomainProperties })
            Write-Export 'accepted-domains.json' $entries 'Get-AcceptedDomain'
        } catch {
            Add-Problem "accepted-domains.json was not written: $($_.Exception.Message). The old file stays."
        }
    } catch {
        Add-Problem "inbound-connectors.json and accepted-domains.json were not written: $($_.Exception.Message). The old files stay."
    } finally {
        if ($isOwn) {
            # Only our own connection: others in this shell stay.
            try {
                Disconnect-ExchangeOnline -ModulePrefix $CloudPrefix -Confirm:$false -ErrorAction Stop | Out-Null
            } catch {
                Write-Verbose "Disconnecting failed, the connection ends with this shell: $($_.Exception.Message)"
            }
        }
    }
}

function Test-OnPremisesCommand {
    $missing = @('Get-SendConnector', 'Get-ExchangeCertificate' |
            Where-Object { $null -eq (Get-Command -Name $_ -ErrorAction SilentlyContinue) })
    $missing.Count -eq 0
}

# The names of all transport servers. Exchange 2010 calls the cmdlet Get-TransportServer.
function Get-TransportServerName {
    if ($Server) {
        # powershell.exe -File hands over a list as one text.
        return $Server | ForEach-Object { $_ -split ',' } | ForEach-Object { $_.Trim() } | Where-Object { $_ }
    }
    if ($null -ne (Get-Command -Name Get-TransportService -ErrorAction SilentlyContinue)) {
        $found = @(Get-TransportService -ErrorAction Stop)
    } else {
        $found = @(Get-TransportServer -ErrorAction Stop)
    }
    $found | ForEach-Object { [string] (Get-PropertyValue $_ 'Name') } | Where-Object { $_ }
}

# The certificates of all servers, or an error: a file that lacks a server would tell certdrift that its certificates
# are gone, and end the alerts about them.
function Get-CertificateEntry {
    $failed = @()
    foreach ($name in @(Get-TransportServerName)) {
        try {
            $certificates = @(Get-ExchangeCertificate -Server $name -ErrorAction Stop)
        } catch {
            Add-Problem "The certificates of $name cannot be read: $($_.Exception.Message) (An Edge Transport server can only be asked locally; leave it out with -Server.)"
            $failed += $name
            continue
        }
        if ($certificates.Count -eq 0) {
            Add-Problem "The certificates of $name cannot be read: Get-ExchangeCertificate found none."
            $failed += $name
        }
        foreach ($certificate in $certificates) { ConvertTo-CertificateEntry $certificate $name }
    }
    if ($failed.Count -gt 0) {
        throw ('the certificates of {0} are missing, and a file without them would say that they are gone' -f ($failed -join ', '))
    }
}

function Export-OnPremisesHalf {
    $session = $null
    $module = $null
    try {
        if ($ExchangeServer -and -not (Test-OnPremisesCommand)) {
            $options = @{
                ConfigurationName = 'Microsoft.Exchange'
                ConnectionUri     = 'http://{0}/PowerShell/' -f $ExchangeServer
                Authentication    = 'Kerberos'
                ErrorAction       = 'Stop'
            }
            $session = New-PSSession @options
            $names = @('Get-SendConnector', 'Get-ExchangeCertificate', 'Get-TransportServ*')
            $module = Import-PSSession -Session $session -CommandName $names -AllowClobber -DisableNameChecking -ErrorAction Stop
        }
        if (-not (Test-OnPremisesCommand)) {
            throw 'Get-SendConnector and Get-ExchangeCertificate are not available. Run this in the Exchange Management Shell, or give -ExchangeServer'
        }
        try {
            $found = @(Get-SendConnector -ErrorAction Stop)
            $entries = @($found | ForEach-Object { Select-Wanted $_ $SendConnectorProperties })
            Write-Export 'send-connectors.json' $entries 'Get-SendConnector'
        } catch {
            Add-Problem "send-connectors.json was not written: $($_.Exception.Message). The old file stays."
        }
        try {
            $entries = @(Get-CertificateEntry)
            Write-Export 'certificates.json' $entries 'Get-ExchangeCertificate'
        } catch {
            Add-Problem "certificates.json was not written: $($_.Exception.Message). The old file stays."
        }
    } catch {
        Add-Problem "send-connectors.json and certificates.json were not written: $($_.Exception.Message). The old files stay."
    } finally {
        if ($null -ne $module) { Remove-Module -ModuleInfo $module -Force -ErrorAction SilentlyContinue }
        if ($null -ne $session) { Remove-PSSession -Session $session -ErrorAction SilentlyContinue }
    }
}

function Stop-ForUsage {
    param([string] $Text)
    Write-Warning $Text
    exit 2
}

# .NET does not follow PowerShell's current location, so the folder is made absolute first.
$Folder = $ExecutionContext.SessionState.Path.GetUnresolvedProviderPathFromPSPath($Path)
if (-not [System.IO.Directory]::Exists($Folder)) {
    Stop-ForUsage "The folder $Folder does not exist. Create it, or give the folder that certdrift's configuration names under exports."
}
$signIn = @(@($AppId, $CertificateThumbprint, $Organization) | Where-Object { $_ })
if ($signIn.Count -ne 0 -and $signIn.Count -ne 3) {
    Stop-ForUsage 'AppId, CertificateThumbprint and Organization belong together: give all three or none.'
}

# Without -Cloud and -OnPremises: whatever is possible here.
$wantCloud = [bool] $Cloud
$wantOnPremises = [bool] $OnPremises
if (-not $Cloud -and -not $OnPremises) {
    $wantCloud = [bool] $AppId -or ($null -ne (Find-CloudCommand ''))
    $wantOnPremises = [bool] $ExchangeServer -or (Test-OnPremisesCommand)
    if (-not $wantCloud -and -not $wantOnPremises) {
        Stop-ForUsage 'There are no Exchange cmdlets here. Run this in the Exchange Management Shell or after Connect-ExchangeOnline, or see -AppId and -ExchangeServer in the help.'
    }
    if (-not $wantCloud) {
        Write-Output 'Left out: inbound-connectors.json and accepted-domains.json, because there is no connection to Exchange Online.'
    }
    if (-not $wantOnPremises) {
        Write-Output 'Left out: send-connectors.json and certificates.json, because there are no cmdlets of Exchange Server.'
    }
}

if ($wantCloud) { Export-CloudHalf }
if ($wantOnPremises) { Export-OnPremisesHalf }

if ($script:Written.Count -eq 0) { Write-Output 'Nothing was written.' }
foreach ($line in $script:Written) { Write-Output "Written: $line" }
if ($script:Problems.Count -gt 0) {
    Write-Output ('{0} problems, see the warnings.' -f $script:Problems.Count)
    exit 1
}
exit 0
