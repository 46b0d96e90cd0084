export function ReadOnly() {
  return (
    <p class="config-banner is-notice" role="note">
      <b>Reading only.</b> To make changes, open this page with <code>composemesh dashboard</code>: it brings the mesh's token
      along.
    </p>
  );
}
