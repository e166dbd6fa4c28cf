// What happens when: the parts are elsewhere.
import * as vscode from 'vscode';
import { Connection } from './client';
import { Crashes } from './crashes';
import { discover } from './discovery';
import { Explanations } from './explain';
import { fixAll } from './fixes';
import { install, offer, summary } from './install';
import { Pictures } from './picture';
import { watchEnvironments } from './python';
import { Status } from './status';
import { Reasons } from './why';
import { world } from './world';

let extension: Extension | undefined;

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  extension = new Extension(context);
  await extension.restart();
}

export async function deactivate(): Promise<void> {
  await extension?.stop();
}

class Extension {
  private readonly log = vscode.window.createOutputChannel('gradls', { log: true });
  private readonly status = new Status();
  private readonly pictures = new Pictures(() => this.connection?.client);
  private readonly explanations = new Explanations(() => this.connection?.client);
  private readonly reasons = new Reasons(() => this.connection?.client);
  private connection: Connection | undefined;
  private restarting: Promise<void> = Promise.resolve();
  private wishes = 0;
  private readonly crashes = new Crashes();

  constructor(private readonly context: vscode.ExtensionContext) {
    const commands: Record<string, (...args: unknown[]) => unknown> = {
      'gradls.restart': () => this.restart(),
      'gradls.showLogs': () => {
        this.log.show();
      },
      'gradls.fixAll': fixAll,
      'gradls.picture': () => this.pictureHere(),
      'gradls.explainRule': (key) => this.explanations.show(key),
      'gradls.explainError': () => this.reasons.explain(),
      'gradls.explainErrorInTerminal': () => this.reasons.explainTerminal(),
      'gradls.install': () => this.install(),
      'gradls.openSample': () => this.openSample(),
      'gradls.showMenu': () => this.status.menu(),
    };
    const again = (): void => void this.restart();
    context.subscriptions.push(
      this.log,
      this.status,
      this.pictures,
      this.explanations,
      this.reasons,
      ...Object.entries(commands).map(([name, run]) => vscode.commands.registerCommand(name, run)),
      vscode.workspace.onDidGrantWorkspaceTrust(again),
      vscode.workspace.onDidChangeConfiguration((change) => {
        if (change.affectsConfiguration('gradls.path') || change.affectsConfiguration('gradls.workspaceDiagnostics')) {
          again();
        }
      }),
      watchEnvironments(again),
    );
  }

  /** Look for the server and start it, when what went on before has ended. */
  restart(): Promise<void> {
    this.crashes.forget();
    return this.queue((why) => {
      this.failed(`The server could not be started: ${why}`);
    });
  }

  private queue(failed: (why: string) => void): Promise<void> {
    const wish = ++this.wishes;
    this.connection?.abort();
    this.restarting = this.restarting.then(async () => {
      try {
        // Of several that wait, only the last is still wanted.
        await (wish === this.wishes ? this.start() : undefined);
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        this.log.error(`the server could not be started: ${why}`);
        if (wish === this.wishes) {
          failed(why);
        }
      }
    });
    return this.restarting;
  }

  async stop(): Promise<void> {
    const connection = this.connection;
    this.connection = undefined;
    await connection?.stop();
  }

  private async start(): Promise<void> {
    this.status.show({ kind: 'starting' });
    await this.stop();
    const { server, misses } = await discover(world(this.context.extensionPath));
    for (const miss of misses) {
      this.log.info(`${miss.place}: ${miss.why}`);
    }
    if (server === undefined) {
      this.status.show({ kind: 'missing', why: summary(misses) });
      // Not awaited: the message may stand there for long.
      void offer(misses, this.log).then((installed) => (installed ? this.restart() : undefined));
      return;
    }
    this.log.info(`the server is ${[server.command, ...server.args].join(' ')}, version ${server.version}`);
    this.connection = new Connection(server, this.context.extensionPath, this.log, {
      running: () => {
        this.status.show({ kind: 'running', server });
      },
      crashed: () => {
        this.crashed();
      },
      picture: (args) => this.pictureOf(args),
    });
    await this.connection.start();
  }

  private crashed(): void {
    if (this.crashes.mayRestart(Date.now())) {
      this.log.warn('the server has ended without being asked to, and is started again');
      void this.queue(() => {
        this.crashed();
      });
    } else {
      this.failed('The server has ended five times within three minutes, and is not started any more.');
    }
  }

  private failed(why: string): void {
    this.status.show({ kind: 'failed', why });
    void vscode.window.showErrorMessage(`gradls: ${why}`, 'Restart', 'Show the log').then((chosen) => {
      if (chosen === 'Restart') {
        void this.restart();
      } else if (chosen !== undefined) {
        this.log.show();
      }
    });
  }

  private async install(): Promise<void> {
    if (await install(this.log)) {
      await this.restart();
    }
  }

  private async pictureHere(): Promise<void> {
    const editor = vscode.window.activeTextEditor;
    if (editor?.document.languageId === 'python') {
      await this.pictures.show(editor.document.uri, editor.selection.active.line);
    } else {
      void vscode.window.showInformationMessage('gradls: put the cursor on a line of Python to see its gradient.');
    }
  }

  /** The arguments are those of a lens: a URI and a position. */
  private async pictureOf(args: unknown[]): Promise<void> {
    const [uri, position] = args;
    const line = typeof position === 'object' && position !== null && 'line' in position ? Number(position.line) : 0;
    await this.pictures.show(vscode.Uri.parse(String(uri)), line);
  }

  private async openSample(): Promise<void> {
    const file = vscode.Uri.joinPath(this.context.extensionUri, 'dist', 'lost_gradients.py');
    const content = new TextDecoder().decode(await vscode.workspace.fs.readFile(file));
    await vscode.window.showTextDocument(await vscode.workspace.openTextDocument({ language: 'python', content }));
  }
}
